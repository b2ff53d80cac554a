package cost_test

import (
	"encoding/json"
	"math"
	"testing"

	"mimicsync/downloader/cost"
)

func TestMoneyIsExact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		micros     cost.Money
		shown, raw string
	}{
		"0":              {0, "$0.00", "0"},
		"$20":            {20_000_000, "$20.00", "20"},
		"0.12":           {120_000, "$0.12", "0.12"},
		".5":             {500_000, "$0.50", "0.5"},
		"0.0004":         {400, "<$0.01", "0.0004"},
		"1234.567891":    {1_234_567_891, "$1,234.57", "1234.567891"},
		"9999999.999999": {9_999_999_999_999, "$10,000,000.00", "9999999.999999"},
	} {
		m, err := cost.ParseMoney(text)
		if err != nil || m != want.micros {
			t.Errorf("ParseMoney(%q) = %d, %v, want %d", text, m, err, want.micros)
		}
		if got := m.String(); got != want.shown {
			t.Errorf("%q is shown as %s, want %s", text, got, want.shown)
		}
		if raw, err := json.Marshal(m); err != nil || string(raw) != want.raw {
			t.Errorf("%q in JSON is %s, %v, want %s", text, raw, err, want.raw)
		}
	}
	for _, text := range []string{"", "$", ".", "5.", "-1", "+1", "1e3", "1,000", "0.0000001", "5 EUR", "99999999999999999999", "off"} {
		if m, err := cost.ParseMoney(text); err == nil {
			t.Errorf("ParseMoney(%q) = %v, want an error", text, m)
		}
	}
}

func TestWhatBytesAndRequestsCost(t *testing.T) {
	t.Parallel()
	google := cost.Price{PerGB: 120_000, Per10000Requests: 4000}
	for _, tt := range []struct {
		price           cost.Price
		bytes, requests int64
		want            cost.Money
	}{
		{google, 0, 0, 0},
		{google, 1, 0, 1}, // rounded up
		{google, 0, 1, 1},
		{google, 570e9, 377_110, 68_400_000 + 150_844},
		{google, 600e15, 0, 72_000_000_000_000},
		{cost.Price{}, 1e15, 1e9, 0},
		{cost.Price{PerGB: math.MaxInt64}, math.MaxInt64, math.MaxInt64, math.MaxInt64},
		{cost.Price{PerGB: math.MaxInt64, Per10000Requests: math.MaxInt64}, 1e9, 1e4, math.MaxInt64},
	} {
		if got := tt.price.Cost(tt.bytes, tt.requests); got != tt.want {
			t.Errorf("%+v.Cost(%d, %d) = %d, want %d", tt.price, tt.bytes, tt.requests, got, tt.want)
		}
	}
}

// What a person writes never ends the program.
func FuzzParseMoney(f *testing.F) {
	for _, s := range []string{"20", "$0.12", "1e9", "-3", "9999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if m, err := cost.ParseMoney(s); m < 0 || err != nil && m != 0 {
			t.Errorf("ParseMoney(%q) = %d, %v", s, m, err)
		}
	})
}
