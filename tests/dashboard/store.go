package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// A store is a database of Prometheus with the samples of a run.
type store struct {
	db         *tsdb.DB
	directory  string
	start, end time.Time
	interval   time.Duration
}

func (it *store) close() {
	it.db.Close()
	os.RemoveAll(it.directory)
}

func load(scrapes string) (*store, error) {
	directory, err := os.MkdirTemp("", "dashboard")
	if err != nil {
		return nil, err
	}
	options := tsdb.DefaultOptions()
	options.RetentionDuration = 0 // keeps everything
	db, err := tsdb.Open(directory, nil, nil, options, nil)
	if err != nil {
		return nil, err
	}
	it := &store{db: db, directory: directory}
	if err := it.append(scrapes); err != nil {
		it.close()
		return nil, err
	}
	return it, nil
}

// append stores the samples as Prometheus's scrape loop does: with the labels of the target, and with a marker at the end of a series.
func (it *store) append(scrapes string) error {
	seen := map[string]labels.Labels{}
	count, lastPod, last := 0, "", int64(0)
	for _, scrape := range strings.Split(scrapes, "# scrape ")[1:] {
		head, body, _ := strings.Cut(scrape, "\n")
		var at int64
		var pod string
		if _, err := fmt.Sscan(head, &at, &pod); err != nil {
			return fmt.Errorf("%q: %w", head, err)
		}
		appender := it.db.Appender(context.Background())
		if lastPod != "" && pod != lastPod {
			if err := end(appender, seen, last+1); err != nil {
				return err
			}
			seen = map[string]labels.Labels{}
		}
		now, err := samples(appender, body, pod, at)
		if err != nil {
			return err
		}
		for key := range now {
			delete(seen, key)
		}
		if err := end(appender, seen, at); err != nil {
			return err
		}
		if err := appender.Commit(); err != nil {
			return err
		}
		seen, lastPod, last = now, pod, at
		if count == 0 {
			it.start = time.UnixMilli(at)
		}
		it.end = time.UnixMilli(at)
		count++
	}
	if count < 10 {
		return fmt.Errorf("only %d scrapes", count)
	}
	it.interval = it.end.Sub(it.start) / time.Duration(count-1)
	return nil
}

// end marks series as ended.
func end(appender storage.Appender, series map[string]labels.Labels, at int64) error {
	for _, it := range series {
		if _, err := appender.Append(0, it, at, math.Float64frombits(value.StaleNaN)); err != nil {
			return err
		}
	}
	return nil
}

// samples appends what a pod served.
func samples(appender storage.Appender, body, pod string, at int64) (map[string]labels.Labels, error) {
	series := map[string]labels.Labels{}
	parser, err := textparse.New([]byte(body), "application/openmetrics-text; version=1.0.0", labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		return nil, err
	}
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return series, nil
		}
		if err != nil {
			return nil, err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var found labels.Labels
		parser.Labels(&found)
		builder := labels.NewBuilder(found)
		builder.Set("namespace", "envelope-secrets").Set("job", "envelope-secrets").Set("pod", pod)
		_, _, number := parser.Series()
		it := builder.Labels()
		if _, err := appender.Append(0, it, at, number); err != nil {
			return nil, fmt.Errorf("%s: %w", it, err)
		}
		series[it.String()] = it
	}
}
