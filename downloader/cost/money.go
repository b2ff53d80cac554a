// Package cost is what reading from a source costs: amounts, prices and bills.
package cost

import (
	"fmt"
	"maps"
	"math"
	"math/bits"
	"strings"
	"sync"

	"github.com/dustin/go-humanize"
)

// Money is an amount in millionths of a US dollar.
type Money int64

const dollar Money = 1_000_000

// ParseMoney reads dollars, such as "20", "$20" or "0.0004". A fraction of a millionth of a
// dollar is an error, and so is a negative amount.
func ParseMoney(s string) (Money, error) {
	bad := fmt.Errorf("%q is not an amount of US dollars like 20 or 0.12", s)
	whole, part, fraction := strings.Cut(strings.TrimPrefix(s, "$"), ".")
	digits := whole + part
	if digits == "" || fraction && part == "" || len(part) > 6 || len(digits) > 15 || strings.Trim(digits, "0123456789") != "" {
		return 0, bad
	}
	var m Money
	for _, d := range digits + strings.Repeat("0", 6-len(part)) {
		if m > (math.MaxInt64-9)/10 {
			return 0, bad
		}
		m = 10*m + Money(d-'0')
	}
	return m, nil
}

// String is the amount in dollars and cents, such as "$1,234.50"; one below a cent is not
// rounded to nothing.
func (m Money) String() string {
	if m > 0 && m < dollar/100 {
		return "<$0.01"
	}
	cents := (m + dollar/200) / (dollar / 100)
	return fmt.Sprintf("$%s.%02d", humanize.Comma(int64(cents/100)), cents%100)
}

// MarshalJSON writes dollars as a number, with all digits.
func (m Money) MarshalJSON() ([]byte, error) {
	text := fmt.Sprintf("%d.%06d", m/dollar, m%dollar)
	return []byte(strings.TrimSuffix(strings.TrimRight(text, "0"), ".")), nil
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (m *Money) UnmarshalJSON(data []byte) (err error) {
	*m, err = ParseMoney(string(data))
	return err
}

// Price is what the reader of a source pays; zero: nothing. A GB has 10⁹ bytes: stores that
// count 2³⁰ bill slightly less.
type Price struct {
	PerGB            Money
	Per10000Requests Money
}

// IsFree reports whether the reader pays nothing.
func (p Price) IsFree() bool { return p == Price{} }

// Cost is the price of some bytes and requests, rounded up, at most the largest Money.
func (p Price) Cost(bytes, requests int64) Money {
	traffic, asking := portion(bytes, p.PerGB, 1e9), portion(requests, p.Per10000Requests, 1e4)
	if traffic > math.MaxInt64-asking {
		return math.MaxInt64
	}
	return traffic + asking
}

// portion is n/per of m, rounded up.
func portion(n int64, m Money, per uint64) Money {
	hi, lo := bits.Mul64(uint64(max(n, 0)), uint64(max(m, 0)))
	lo, carry := bits.Add64(lo, per-1, 0)
	if hi += carry; hi >= per {
		return math.MaxInt64
	}
	quotient, _ := bits.Div64(hi, lo, per)
	return Money(min(quotient, math.MaxInt64))
}

// Bill adds up what was read at each price, and its cost. The zero bill is ready to use.
// Safe for concurrent use.
type Bill struct {
	mu   sync.Mutex
	read map[Price]usage // guarded by mu
}

type usage struct{ bytes, requests int64 }

// TakeOver replaces it by what another bill has added up.
func (b *Bill) TakeOver(from *Bill) {
	from.mu.Lock()
	read := maps.Clone(from.read)
	from.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read = read
}

// Add notes what was read, and returns the total of the bill.
func (b *Bill) Add(p Price, bytes, requests int64) Money {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.read == nil {
		b.read = map[Price]usage{}
	}
	u := b.read[p]
	b.read[p] = usage{u.bytes + bytes, u.requests + requests}
	var sum Money
	for p, u := range b.read {
		cost := p.Cost(u.bytes, u.requests)
		if cost > math.MaxInt64-sum {
			return math.MaxInt64
		}
		sum += cost
	}
	return sum
}
