package daemon

// Watch returns a channel that receives a value soon after Status has changed, once for all
// changes in between; while passes run, about once a second. Call stop to end it.
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

// change tells all watchers that Status has changed. The caller holds mu.
func (d *Daemon) change() {
	for ch := range d.watchers {
		select {
		case ch <- struct{}{}:
		default: // it hasn't seen the last change yet
		}
	}
}
