package secret

// nonblock isn't needed where a folder holds no FIFO.
const nonblock = 0
