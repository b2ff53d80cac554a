package downloader

import (
	"context"
	"fmt"

	"mimicsync/downloader/cost"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
)

// CostError means that a pass would cost more than Options.MaxCost.
type CostError struct {
	Source string // the one that costs it
	Ref    manifest.Ref
	Cost   cost.Money // of the pass
	Spent  cost.Money // earlier, of the same limit
	Limit  cost.Money
}

// Error names the amounts.
func (e *CostError) Error() string {
	before := ""
	if e.Spent > 0 {
		before = fmt.Sprintf(", %s is spent", e.Spent)
	}
	return fmt.Sprintf("fetching %s from %s would cost about %s%s, and the limit is %s", e.Ref, e.Source, e.Cost, before, e.Limit)
}

// afford counts a request to a source and its bytes. When they exceed Options.MaxCost it
// ends the use of the source if a free source can take over, and the pass otherwise.
func (p *pass) afford(c *candidate, bytes, requests int64) error {
	if c.price.IsFree() {
		return nil
	}
	c.bill.Add(c.price, bytes, requests)
	spent := p.spent.bill.Add(c.price, bytes, requests)
	if p.s.MaxCost == nil || spent < *p.s.MaxCost || spent == *p.s.MaxCost && requests == 0 {
		return nil
	}
	err := fmt.Errorf("%w: %s spent at %s", failure.ErrSpent, *p.s.MaxCost, c.Name())
	if p.hasFreeSource() {
		p.drop(c, err)
	} else {
		p.stop(err) // stop the pass, since the entry itself has not failed
	}
	return err
}

// checkCost refuses a pass that is known to exceed Options.MaxCost, unless a free source
// can continue it.
func (p *pass) checkCost(ctx context.Context) error {
	first := p.sources[0]
	if p.s.MaxCost == nil || p.hasFreeSource() || p.plan.Fetch+p.plan.Examine == 0 {
		return nil
	}
	e, err := p.estimate(ctx, first)
	spent := p.spent.bill.Add(first.price, 0, 0)
	if err != nil || e.Cost < 0 || e.Basis == report.BasisShare || p.plan.Examine > 0 || e.Cost <= *p.s.MaxCost-spent {
		return err
	}
	return &CostError{Source: e.Name, Ref: p.ref, Cost: e.Cost, Spent: spent, Limit: *p.s.MaxCost}
}

// hasFreeSource reports whether a free source is still in use.
func (p *pass) hasFreeSource() bool {
	p.tally.mu.Lock()
	defer p.tally.mu.Unlock()
	for _, c := range p.sources {
		if c.price.IsFree() && c.report.Err == nil {
			return true
		}
	}
	return false
}
