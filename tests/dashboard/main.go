// Dashboard draws the chart's Grafana dashboard as one SVG, without Grafana: Prometheus's own engine evaluates the queries of each panel on
// the scrapes of a real run. `cargo xtask test chart` takes the scrapes and runs it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
)

// A dashboard is what is drawn of Grafana's JSON.
type dashboard struct {
	Title  string
	Panels []panel
}

type panel struct {
	Title, Type string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ Expr, LegendFormat string }
	FieldConfig struct {
		Defaults struct {
			Unit       string
			Thresholds struct {
				Steps []struct {
					Color string
					Value *float64
				}
			}
		}
	}
	Options struct{ TextMode string }
}

// A line is a series of a panel's result.
type line struct {
	name   string
	points []promql.FPoint
}

func main() {
	source := flag.String("dashboard", "", "the dashboard, Grafana's JSON")
	scrapes := flag.String("scrapes", "", "the scrapes: lines `# scrape MILLISECONDS POD`, each before what that pod served")
	output := flag.String("output", "", "the SVG")
	flag.Parse()
	if err := run(*source, *scrapes, *output); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(source, scrapes, output string) error {
	text, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	var found dashboard
	if err := json.Unmarshal(text, &found); err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	samples, err := os.ReadFile(scrapes)
	if err != nil {
		return err
	}
	stored, err := load(string(samples))
	if err != nil {
		return fmt.Errorf("%s: %w", scrapes, err)
	}
	defer stored.close()
	results := make([][]line, len(found.Panels))
	empty := 0
	for i, it := range found.Panels {
		if results[i], err = stored.query(it); err != nil {
			return fmt.Errorf("panel %q: %w", it.Title, err)
		}
		if len(results[i]) == 0 {
			fmt.Printf("no data: %s\n", it.Title)
			empty++
		}
	}
	fmt.Printf("%d panels, %d without data; %s of metrics\n", len(found.Panels), empty, stored.end.Sub(stored.start).Round(time.Second))
	return os.WriteFile(output, []byte(draw(found, results, stored.start, stored.end)), 0o644)
}

// variables replaces what Grafana replaces. The interval of $__rate_interval is four times that of the scrapes, as in Grafana.
func (it *store) variables(query string) string {
	interval := fmt.Sprintf("%dms", 4*it.interval.Milliseconds())
	return strings.NewReplacer("$__rate_interval", interval, "$namespace", ".*", "$job", ".*").Replace(query)
}

// query evaluates all queries of a panel: over the whole run, or for a single value at its end.
func (it *store) query(panel panel) ([]line, error) {
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 50_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute})
	var lines []line
	for _, target := range panel.Targets {
		start, step := it.start, max(it.end.Sub(it.start)/400, time.Millisecond)
		if panel.Type == "stat" {
			start = it.end
		}
		query, err := engine.NewRangeQuery(context.Background(), storage.Queryable(it.db), nil, it.variables(target.Expr), start, it.end, step)
		if err != nil {
			return nil, err
		}
		matrix, err := query.Exec(context.Background()).Matrix()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", target.Expr, err)
		}
		for _, series := range matrix {
			lines = append(lines, line{legend(target.LegendFormat, series.Metric), append([]promql.FPoint(nil), series.Floats...)})
		}
		query.Close()
	}
	return lines, nil
}

// legend replaces {{label}}, as Grafana does.
func legend(format string, metric labels.Labels) string {
	metric.Range(func(it labels.Label) { format = strings.ReplaceAll(format, "{{"+it.Name+"}}", it.Value) })
	return format
}
