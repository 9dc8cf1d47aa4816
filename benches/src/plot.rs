//! The plots, as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::record::{Curve, Record};

const SIZE: (u32, u32) = (760, 420);
const COLORS: [RGBColor; 4] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(170, 80, 150),
];
const FONT: (&str, u32) = ("sans-serif", 14);

/// Draws the legend; a macro, because the chart's type depends on its axes.
macro_rules! legend {
    ($chart:expr, $position:expr) => {
        $chart
            .configure_series_labels()
            .position($position)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .label_font(FONT)
            .draw()?
    };
}

/// Draws the plots of these results and returns their file names with a description.
pub(crate) fn draw(records: &[Record], directory: &Path) -> Result<Vec<(String, &'static str)>> {
    let mut drawn = Vec::new();
    for (name, file, title, draw) in PLOTS {
        if let Some(record) = records.iter().find(|record| record.name == *name) {
            let path = directory.join(file);
            draw(&path, &record.curves).map_err(|error| anyhow!("{}: {error}", path.display()))?;
            drawn.push(((*file).to_owned(), *title));
        }
    }
    Ok(drawn)
}

type Failed = Box<dyn std::error::Error>;
type Draw = fn(&Path, &[Curve]) -> std::result::Result<(), Failed>;

/// By benchmark: the file, what it shows, and how.
const PLOTS: &[(&str, &str, &str, Draw)] = &[
    (
        "scaling",
        "cost.svg",
        "Cost of each object of a cold start, against the number of objects",
        cost,
    ),
    (
        "latency",
        "latency.svg",
        "Latency from apply to Ready: the share of objects that were ready in that time",
        latency,
    ),
];

fn cost(path: &Path, curves: &[Curve]) -> std::result::Result<(), Failed> {
    let (left, right) = range(curves, |(x, _)| x);
    let (_, top) = range(curves, |(_, y)| y);
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d((left * 0.8..right * 1.25).log_scale(), 0.0..top * 1.25)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("objects")
        .y_desc("milliseconds per object")
        .x_label_formatter(&|x: &f64| format!("{x:.0}"))
        .y_label_formatter(&|y: &f64| format!("{y:.1}"))
        .label_style(FONT)
        .axis_desc_style(FONT)
        .draw()?;
    for (curve, color) in curves.iter().zip(COLORS) {
        chart
            .draw_series(LineSeries::new(
                curve.points.iter().copied(),
                color.stroke_width(2),
            ))?
            .label(&curve.label)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], color.stroke_width(2)));
        let points = curve.points.iter();
        chart.draw_series(points.map(|point| Circle::new(*point, 4, color.filled())))?;
    }
    // In the middle: the time is above, and the CPU time below.
    legend!(chart, SeriesLabelPosition::MiddleRight);
    root.present()?;
    Ok(())
}

fn latency(path: &Path, curves: &[Curve]) -> std::result::Result<(), Failed> {
    let (left, right) = range(curves, |(x, _)| x);
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d((left * 0.8..right * 1.25).log_scale(), 0.0..1.0)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("milliseconds")
        .y_desc("share of objects")
        .x_label_formatter(&|x: &f64| format!("{x:.0}"))
        .y_label_formatter(&|y: &f64| format!("{:.0}%", y * 100.0))
        .label_style(FONT)
        .axis_desc_style(FONT)
        .draw()?;
    for (curve, color) in curves.iter().zip(COLORS) {
        chart
            .draw_series(LineSeries::new(steps(&curve.points), color.stroke_width(2)))?
            .label(&curve.label)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    legend!(chart, SeriesLabelPosition::LowerRight);
    root.present()?;
    Ok(())
}

/// A distribution as a staircase.
fn steps(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut steps = Vec::new();
    let mut before = 0.0;
    for (x, share) in points {
        steps.extend([(*x, before), (*x, *share)]);
        before = *share;
    }
    steps
}

fn range(curves: &[Curve], of: fn((f64, f64)) -> f64) -> (f64, f64) {
    let values = curves
        .iter()
        .flat_map(|curve| curve.points.iter())
        .map(|point| of(*point));
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low <= high { (low, high) } else { (1.0, 2.0) }
}
