//! The cost of each object at different numbers of objects.

use anyhow::Result;
use serde_json::json;

use super::{Quantity, Target, row};
use crate::args::{FULL_SIZE, Name};
use crate::cost::{self, Run};
use crate::lab::{Lab, say};
use crate::record::{Curve, Record};
use crate::stats::{commas, extremes, median, number};

pub(super) async fn run(lab: &mut Lab) -> Result<Record> {
    let full = lab.settings.objects;
    let sizes = [full / 10, full * 3 / 10, full, full * 3];
    let mut rows = Vec::new();
    let (mut cpu, mut time) = (Vec::new(), Vec::new());
    for count in sizes {
        let wanted = if count > full {
            1
        } else {
            lab.settings.pairs(count).min(3)
        };
        let known = |lab: &Lab| lab.cold_starts.iter().filter(|run| run.objects == count).count();
        while known(lab) < wanted {
            let namespace = cost::populate(lab, count).await?;
            let run = cost::controller(lab, &namespace, count).await?;
            say(&format!(
                "scaling, {} objects: {:.2} ms per object, {:.2} ms CPU",
                commas(count),
                run.ms_per_object(),
                run.cpu_ms_per_object()
            ));
            lab.cold_starts.push(run);
        }
        let runs = lab.cold_starts.iter().filter(|run| run.objects == count);
        let (used, took): (Vec<f64>, Vec<f64>) = runs
            .map(|run| (run.cpu_ms_per_object(), run.ms_per_object()))
            .unzip();
        let quantity = |metric: &str| Quantity {
            metric: format!("{} objects: {metric}", commas(count)),
            unit: " ms",
            decimals: 2,
        };
        rows.push(row(quantity("CPU per object"), &used, None, ""));
        rows.push(row(
            quantity("time per object"),
            &took,
            None,
            "the API server's writes",
        ));
        cpu.push((number(count), median(&used)));
        time.push((number(count), median(&took)));
    }
    for (metric, points, limit) in [
        (
            "CPU per object",
            &cpu,
            "start-up costs weigh more with few objects",
        ),
        (
            "time per object",
            &time,
            "the API server's writes, and start-up with few objects",
        ),
    ] {
        let values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
        let (low, high) = extremes(&values);
        let target = Target {
            text: "≤ 1.2 ×",
            limit: 1.2,
            applies: full == FULL_SIZE,
        };
        let quantity = Quantity {
            metric: format!("largest against smallest {metric}"),
            unit: " ×",
            decimals: 2,
        };
        rows.push(row(quantity, &[high / low], Some(target), limit));
    }
    let runs: Vec<&Run> = lab.cold_starts.iter().collect();
    Ok(Record {
        name: Name::Scaling.text(),
        what: "The cost of each object of a cold start, at different numbers of objects. Cold starts that another benchmark of the \
               same run measured count."
            .to_owned(),
        environment: lab.environment.clone(),
        rows,
        notes: Vec::new(),
        samples: json!({"runs": runs}),
        curves: vec![
            Curve {
                label: "time per object".to_owned(),
                points: time,
            },
            Curve {
                label: "controller's CPU per object".to_owned(),
                points: cpu,
            },
        ],
    })
}
