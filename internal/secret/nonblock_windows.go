package secret

// nonblock has no use where a folder holds no FIFO.
const nonblock = 0
