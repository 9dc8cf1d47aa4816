package main

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// Pixels of the grid, as Grafana draws 24 columns on a screen 1440 wide.
const (
	column, row = 60, 36
	gap         = 4
	header      = 44
	legendRow   = 18
)

var (
	palette    = []string{"#1a7f37", "#bf8700", "#0969da", "#bc4c00", "#8250df", "#1b7c83", "#57606a", "#bf3989", "#4d2d00", "#cf222e"}
	thresholds = map[string]string{"green": "#1a7f37", "red": "#cf222e"}
)

// draw returns the SVG.
func draw(dashboard dashboard, results [][]line, start, end time.Time) string {
	width, height := 24*column, 0
	for _, it := range dashboard.Panels {
		height = max(height, header+(it.GridPos.Y+it.GridPos.H)*row)
	}
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" `, width, height, width, height)
	svg.WriteString(`font-family="-apple-system, BlinkMacSystemFont, 'Segoe UI', 'Noto Sans', Inter, Helvetica, Arial, sans-serif" font-size="12" fill="#1f2328">` + "\n")
	fmt.Fprintf(&svg, "<title>The Grafana dashboard %s</title>\n", html.EscapeString(dashboard.Title))
	svg.WriteString("<desc>Drawn from the dashboard's JSON and the metrics of a real run; Grafana's own styling differs.</desc>\n")
	fmt.Fprintf(&svg, `<rect width="%d" height="%d" fill="#f6f8fa"/>`+"\n", width, height)
	text(&svg, 12, 28, `font-size="18" font-weight="600"`, dashboard.Title)
	text(&svg, width-12, 28, `text-anchor="end" fill="#59636e"`,
		fmt.Sprintf("%s of a test run, which ends with faults", end.Sub(start).Round(time.Second)))
	for i, it := range dashboard.Panels {
		x, y := it.GridPos.X*column+gap, header+it.GridPos.Y*row+gap
		w, h := it.GridPos.W*column-2*gap, it.GridPos.H*row-2*gap
		fmt.Fprintf(&svg, `<rect x="%d" y="%d" width="%d" height="%d" rx="4" fill="#ffffff" stroke="#d1d9e0"/>`+"\n", x, y, w, h)
		text(&svg, x+10, y+20, `font-weight="600"`, fit(it.Title, w-20))
		if it.Type == "stat" {
			stat(&svg, it, results[i], x, y, w, h)
		} else {
			graph(&svg, it, results[i], x, y, w, h, start, end)
		}
	}
	svg.WriteString("</svg>\n")
	return svg.String()
}

func text(svg *strings.Builder, x, y int, attributes, content string) {
	fmt.Fprintf(svg, `<text x="%d" y="%d" %s>%s</text>`+"\n", x, y, attributes, html.EscapeString(content))
}

// textWidth is the width in pixels, generously.
func textWidth(content string) int { return 7 * len([]rune(content)) }

// fit shortens a text that is too wide.
func fit(content string, width int) string {
	letters := []rune(content)
	if textWidth(content) <= width {
		return content
	}
	return string(letters[:max(width/7-1, 1)]) + "…"
}

// stat draws the last value.
func stat(svg *strings.Builder, panel panel, lines []line, x, y, w, h int) {
	content, color := "No data", "#59636e"
	for _, it := range lines {
		last := it.points[len(it.points)-1].F
		content, color = format(last, panel.FieldConfig.Defaults.Unit), "#1a7f37"
		if panel.Options.TextMode == "name" {
			content = it.name
		}
		for _, step := range panel.FieldConfig.Defaults.Thresholds.Steps {
			if step.Value == nil || last >= *step.Value {
				color = thresholds[step.Color]
			}
		}
	}
	text(svg, x+w/2, y+h/2+24, fmt.Sprintf(`text-anchor="middle" font-size="34" font-weight="600" fill="%s"`, color), content)
}

// graph draws lines over time, from zero.
func graph(svg *strings.Builder, panel panel, lines []line, x, y, w, h int, start, end time.Time) {
	entries, rows := legendRows(lines, w-20)
	left, right, top, bottom := x+58, x+w-12, y+32, y+h-24-rows*legendRow
	highest := 0.0
	for _, it := range lines {
		for _, point := range it.points {
			if !math.IsNaN(point.F) && !math.IsInf(point.F, 0) {
				highest = max(highest, point.F)
			}
		}
	}
	step := tick(highest)
	limit := max(step*math.Ceil(highest/step), step)
	if highest == limit && len(lines) > 0 {
		limit += step // not on the frame
	}
	for mark := 0.0; mark <= limit+step/2; mark += step {
		at := bottom - int(mark/limit*float64(bottom-top))
		fmt.Fprintf(svg, `<path d="M%d %dH%d" stroke="#eaeef2"/>`+"\n", left, at, right)
		text(svg, left-6, at+4, `text-anchor="end" font-size="11" fill="#59636e"`, format(mark, panel.FieldConfig.Defaults.Unit))
	}
	total := end.Sub(start).Seconds()
	seconds := tick(total)
	for mark := 0.0; mark <= total; mark += seconds {
		at := left + int(mark/total*float64(right-left))
		text(svg, at, bottom+16, `text-anchor="middle" font-size="11" fill="#59636e"`, format(mark, "s"))
	}
	if len(lines) == 0 {
		text(svg, (left+right)/2, (top+bottom)/2, `text-anchor="middle" fill="#59636e"`, "No data")
	}
	for i, it := range lines {
		fmt.Fprintf(svg, `<path d="%s" fill="none" stroke="%s" stroke-width="1.5" stroke-linejoin="round"/>`+"\n",
			path(it, limit, left, right, top, bottom, start, end), palette[i%len(palette)])
	}
	for i, it := range entries {
		at := y + h - 10 - (rows-1-it.row)*legendRow
		fmt.Fprintf(svg, `<path d="M%d %dh14" stroke="%s" stroke-width="3"/>`+"\n", x+10+it.x, at-4, palette[i%len(palette)])
		text(svg, x+28+it.x, at, `font-size="11"`, fit(it.name, w-40))
	}
}

// path is one stroke for each part of a line without gaps. Points are at most a fiftieth of the graph apart.
func path(it line, limit float64, left, right, top, bottom int, start, end time.Time) string {
	var path strings.Builder
	last := math.Inf(-1)
	for _, point := range it.points {
		share := float64(point.T-start.UnixMilli()) / float64(end.UnixMilli()-start.UnixMilli())
		if math.IsNaN(point.F) || math.IsInf(point.F, 0) {
			continue
		}
		command := "L"
		if share-last > 0.02 {
			command = "M"
		}
		last = share
		fmt.Fprintf(&path, "%s%.1f %.1f", command, float64(left)+share*float64(right-left), float64(bottom)-point.F/limit*float64(bottom-top))
	}
	return path.String()
}

type entry struct {
	name   string
	x, row int
}

// legendRows places the entries of the legend in rows.
func legendRows(lines []line, width int) ([]entry, int) {
	var entries []entry
	x, row := 0, 0
	for _, it := range lines {
		needed := 34 + textWidth(it.name)
		if x > 0 && x+needed > width {
			x, row = 0, row+1
		}
		entries = append(entries, entry{it.name, x, row})
		x += needed
	}
	return entries, row + 1
}

// tick is 1, 2 or 5 times a power of ten, so that there are about four.
func tick(highest float64) float64 {
	if highest <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(highest/4)))
	for _, factor := range []float64{1, 2, 5} {
		if highest/4 <= factor*power {
			return factor * power
		}
	}
	return 10 * power
}

// format writes a number with a unit of Grafana.
func format(number float64, unit string) string {
	short := func(number float64) string { return strings.TrimSuffix(fmt.Sprintf("%.4g", number), ".0") }
	switch {
	case unit == "s" && number != 0 && math.Abs(number) < 0.001:
		return short(number*1e6) + " µs"
	case unit == "s" && number != 0 && math.Abs(number) < 1:
		return short(number*1e3) + " ms"
	case unit == "s" && math.Abs(number) >= 7200:
		return fmt.Sprintf("%.1f h", number/3600)
	case unit == "s" && math.Abs(number) >= 120:
		return fmt.Sprintf("%.1f min", number/60)
	case unit == "s":
		return short(number) + " s"
	case unit == "reqps":
		return short(number) + " req/s"
	case unit == "ops":
		return short(number) + " /s"
	default:
		return short(number)
	}
}
