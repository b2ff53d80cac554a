package dashboard

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"mimicsync/daemon"
)

// The vertical measures of a chart, in pixels. Horizontally everything is a share
// of its width, so that text keeps its size on a phone.
const (
	chartTop    = 16
	chartHeight = 148
)

// chart is bytes over time: an area, or columns.
type chart struct {
	ID, Title, Summary string
	Empty              bool
	Top, Height        int
	Lines              []gridLine
	Area               *area
	Bars               []column
	Ticks              []tick

	// The same as a table.
	Column, Unit string
	Rows         []cells
}

type gridLine struct {
	Y, LabelY int
	Label     string
}

type area struct {
	Width      int
	Fill, Edge string
}

type column struct {
	X, Y, Width, Height, Title string
}

// tick is a label of the horizontal axis. Those of the class "minor" give way on a
// phone.
type tick struct {
	X, Anchor, Class, Label string
}

type cells struct{ Label, Value string }

// hourChart is the throughput of the last hour. The table has an average for each
// five minutes.
func hourChart(c clock, samples []daemon.Sample) chart {
	samples = samples[:max(len(samples)-1, 0)] // the last one is not over, and would look like a dip
	ch := chart{
		ID: "hour", Title: "Throughput over the last hour", Column: "From", Unit: "A second",
		Top: chartTop, Height: chartHeight, Empty: !traffic(samples),
	}
	if ch.Empty {
		return ch
	}
	step := samples[1].At.Sub(samples[0].At).Seconds()
	rates, most, total := make([]float64, len(samples)), 0.0, int64(0)
	for i, s := range samples {
		rates[i] = float64(s.Bytes) / step
		most, total = max(most, rates[i]), total+s.Bytes
	}
	ch.Summary = fmt.Sprintf("%s received, at most %s/s.", size(total), size(int64(most)))
	top := ch.scale(most, "/s")

	var edge strings.Builder
	for i, r := range rates {
		fmt.Fprintf(&edge, "%c%d %.1f", "ML"[min(i, 1)], i, chartHeight*(1-r/top))
	}
	last := len(rates) - 1
	ch.Area = &area{Width: last, Edge: edge.String(), Fill: fmt.Sprintf("%sL%d %dL0 %dZ", edge.String(), last, chartHeight, chartHeight)}

	const ticks = 4
	for i := range ticks + 1 {
		at := samples[last*i/ticks].At.In(c.now.Location())
		ch.Ticks = append(ch.Ticks, newTick(i, ticks, at.Format("15:04")))
	}
	per := max(int(5*60/step), 1)
	for from := 0; from < len(samples); from += per {
		sum, n := int64(0), min(per, len(samples)-from)
		for _, s := range samples[from : from+n] {
			sum += s.Bytes
		}
		ch.Rows = append(ch.Rows, cells{
			samples[from].At.In(c.now.Location()).Format("15:04"), size(int64(float64(sum)/(step*float64(n)))) + "/s",
		})
	}
	return ch
}

// dayChart is the bytes of each of the last days.
func dayChart(c clock, samples []daemon.Sample) chart {
	ch := chart{
		ID: "days", Title: "Received by day", Column: "Day", Unit: "Bytes",
		Top: chartTop, Height: chartHeight, Empty: !traffic(samples),
	}
	if ch.Empty {
		return ch
	}
	most, total := int64(0), int64(0)
	for _, s := range samples {
		most, total = max(most, s.Bytes), total+s.Bytes
	}
	today := samples[len(samples)-1].Bytes
	ch.Summary = fmt.Sprintf("%s in %s, %s of them today.", size(total), count(int64(len(samples)), "day"), size(today))
	top := ch.scale(float64(most), "")

	slot := 100 / float64(len(samples))
	for i, s := range samples {
		at, height := s.At.In(c.now.Location()), chartHeight*float64(s.Bytes)/top
		day := at.Format("Mon 2 Jan")
		ch.Rows = append(ch.Rows, cells{day, size(s.Bytes)})
		if s.Bytes == 0 {
			continue
		}
		height = max(height, 1.5) // something came
		ch.Bars = append(ch.Bars, column{
			X: share2(slot * (float64(i) + 0.14)), Width: share2(slot * 0.72),
			Y: share2(chartTop + chartHeight - height), Height: share2(height), Title: day + ": " + size(s.Bytes),
		})
	}
	const ticks = 4
	for i := range ticks + 1 {
		at := samples[(len(samples)-1)*i/ticks].At.In(c.now.Location())
		ch.Ticks = append(ch.Ticks, newTick(i, ticks, at.Format("2 Jan")))
	}
	return ch
}

// traffic reports whether there is anything to draw.
func traffic(samples []daemon.Sample) bool {
	return len(samples) > 2 && slices.ContainsFunc(samples, func(s daemon.Sample) bool { return s.Bytes > 0 })
}

// scale draws the vertical axis up to a round number above most, which it returns.
func (ch *chart) scale(most float64, unit string) float64 {
	step := roundUp(max(most, 1000) / 3)
	lines := int(math.Ceil(max(most, 1000) / step))
	top := step * float64(lines)
	for i := range lines + 1 {
		y := chartTop + chartHeight*(lines-i)/lines
		label := strings.Replace(size(int64(step*float64(i))), ".0", "", 1) + unit
		if i == 0 {
			label = "" // the axis itself
		}
		ch.Lines = append(ch.Lines, gridLine{Y: y, LabelY: y - 4, Label: label})
	}
	return top
}

// roundUp returns the next of 1, 2, 5, 10, 20, 50, …
func roundUp(x float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= x {
			return m * power
		}
	}
	return 10 * power
}

func newTick(i, n int, label string) tick {
	t := tick{X: share2(100 * float64(i) / float64(n)), Anchor: "middle", Label: label}
	switch {
	case i == 0:
		t.Anchor = "start"
	case i == n:
		t.Anchor = "end"
	case i%2 == 1:
		t.Class = "minor"
	}
	return t
}

func share2(x float64) string { return fmt.Sprintf("%.2f", x) }
