package daemon

// Watch returns a channel that gets a value soon after Status has changed,
// at most once for all changes in between, and while passes run about once a
// second. Call stop to end it.
func (d *Daemon) Watch() (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watchers[ch] = struct{}{}
	return ch, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.watchers, ch)
	}
}

// change tells whoever watches that Status has changed. The caller holds mu.
func (d *Daemon) change() {
	for ch := range d.watchers {
		select {
		case ch <- struct{}{}:
		default: // it has yet to see the last change
		}
	}
}
