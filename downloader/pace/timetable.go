package pace

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Timetable says how much may be received per second, by the time of the week. An empty one
// sets no limit.
type Timetable []Slot

// Slot is a rate and when it begins. It lasts until the next one begins; the last one of a
// week lasts until the first one of the next.
type Slot struct {
	Minute int   // of the week, from Sunday 00:00 local time
	Rate   int64 // bytes per second, 0: no limit
}

const (
	minutesPerDay = 24 * 60
	// minRate is the least rate: below it a TLS handshake takes longer than the time-out
	// for a dead server.
	minRate = 1 << 10
)

// ParseTimetable reads a rate, such as "10M", "512k", "1.5G" or "off", or rates with the
// times at which they begin, such as "08:00,2M 19:00,off" for every day or "Mon-08:00,512k
// Sat-00:00,off" for some. It is the syntax of rclone, without its pairs of upload and
// download rates. The error names the wrong word.
func ParseTimetable(s string) (Timetable, error) {
	words := strings.Fields(s)
	if len(words) == 1 && !strings.Contains(s, ",") {
		rate, err := parseRate(words[0])
		return Timetable{{Rate: rate}}, err
	}
	var t Timetable
	for _, word := range words {
		when, limit, ok := strings.Cut(word, ",")
		if !ok {
			return nil, fmt.Errorf("%q has no comma between a time and a rate; write it as in \"08:00,2M 19:00,off\"", word)
		}
		rate, err := parseRate(limit)
		if err != nil {
			return nil, err
		}
		days, minute, err := parseWhen(when)
		if err != nil {
			return nil, err
		}
		for _, day := range days {
			t = append(t, Slot{Minute: int(day)*minutesPerDay + minute, Rate: rate})
		}
	}
	if len(t) == 0 {
		return nil, errors.New("it is empty; write a rate as in 10M, or off")
	}
	slices.SortStableFunc(t, func(a, b Slot) int { return cmp.Compare(a.Minute, b.Minute) })
	return t, nil
}

func parseRate(s string) (int64, error) {
	if strings.Contains(s, ":") {
		return 0, fmt.Errorf("%q looks like a time, or like an upload and a download rate; mimicsync only downloads: write one rate as in 10M, "+
			"and times as in \"08:00,2M 19:00,off\"", s)
	}
	rate, err := ParseSize(s)
	if err == nil && rate > 0 && rate < minRate {
		err = fmt.Errorf("%q is less than 1k, 1024 bytes a second, at which connections fail", s)
	}
	return rate, err
}

var weekdays = []time.Weekday{time.Sunday, time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday}

// parseWhen reads "08:00" or "Mon-08:00".
func parseWhen(s string) (days []time.Weekday, minute int, err error) {
	days = weekdays
	clock := s
	if name, rest, ok := strings.Cut(s, "-"); ok {
		i := slices.IndexFunc(weekdays, func(d time.Weekday) bool {
			return strings.EqualFold(name, d.String()) || strings.EqualFold(name, d.String()[:3])
		})
		if i < 0 {
			return nil, 0, fmt.Errorf("%q is not a day; write Mon-08:00, for example", name)
		}
		days, clock = weekdays[i:i+1], rest
	}
	t, err := time.Parse("15:04", clock)
	if err != nil || len(clock) != len("15:04") {
		return nil, 0, fmt.Errorf("%q is not a time like 08:00 or Mon-08:00", s)
	}
	return days, t.Hour()*60 + t.Minute(), nil
}

// Rate returns how many bytes per second are allowed at a time, 0 for no limit. It follows
// the wall clock: if that is set, or skips an hour in spring, so does the timetable.
func (t Timetable) Rate(now time.Time) int64 {
	if len(t) == 0 {
		return 0
	}
	minute := int(now.Weekday())*minutesPerDay + now.Hour()*60 + now.Minute()
	rate := t[len(t)-1].Rate // since last week
	for _, s := range t {
		if s.Minute <= minute {
			rate = s.Rate
		}
	}
	return rate
}

// lowest is the lowest limit of the timetable, 0 if it sets none.
func (t Timetable) lowest() int64 {
	var rate int64
	for _, s := range t {
		if s.Rate > 0 && (rate == 0 || s.Rate < rate) {
			rate = s.Rate
		}
	}
	return rate
}

// sizeUnits are rclone's: binary, and KiB by default.
var sizeUnits = map[string]float64{
	"": 1 << 10, "b": 1,
	"k": 1 << 10, "ki": 1 << 10, "kib": 1 << 10,
	"m": 1 << 20, "mi": 1 << 20, "mib": 1 << 20,
	"g": 1 << 30, "gi": 1 << 30, "gib": 1 << 30,
	"t": 1 << 40, "ti": 1 << 40, "tib": 1 << 40,
	"p": 1 << 50, "pi": 1 << 50, "pib": 1 << 50,
}

// ParseSize reads a number of bytes as rclone does: "512k", "1.5G", "100B"; a number
// without a unit is KiB. "off" is 0.
func ParseSize(s string) (int64, error) {
	if strings.EqualFold(s, "off") {
		return 0, nil
	}
	lower := strings.ToLower(s) // which may have more bytes than s
	digits := strings.TrimRight(lower, "bikmgtp")
	unit, known := sizeUnits[lower[len(digits):]]
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || !known || !(n >= 0 && n*unit < 1<<62) { // NaN fails too
		return 0, fmt.Errorf("%q is not an amount like 512k, 10M, 1.5G or off", s)
	}
	return int64(n * unit), nil
}
