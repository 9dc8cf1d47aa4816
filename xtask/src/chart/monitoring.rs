//! The alerts and the dashboard: they use only metrics that a real run has, and each alert fires when it should.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::support::{CHART, Suite, success};
use crate::{cluster::tool, run::root};

const ALERTS: &str = "files/alerts.yaml";
const DASHBOARD: &str = "files/dashboard.json";
/// Samples that no run of the suite has, because only a bug or a broken API server causes them. The test in src/metrics/tests.rs
/// asserts these lines.
const RARE: &[&str] = &["envelope_secrets_undecodable_objects_total{resource=\"secrets\"} 1"];
/// Labels that Prometheus adds to every series.
const TARGET: &[&str] = &["namespace", "job", "pod", "instance"];
/// The alerts that the faults of the run must fire, and no other.
const FIRING: &[&str] = &[
    "EnvelopeSecretsIntegrityError",
    "EnvelopeSecretsKmsBreakerOpen",
    "EnvelopeSecretsNotReady",
    "EnvelopeSecretsWatchDown",
];

pub(super) fn check(suite: &mut Suite, healthy: &str, failing: &str) -> Result<()> {
    let read = |name: &str| fs::read_to_string(root().join(CHART).join(name));
    let (alerts, dashboard) = (read(ALERTS)?, read(DASHBOARD)?);
    let existing = existing(&format!("{healthy}{failing}"))?;
    let checked = only_existing(&alerts, &existing);
    suite.record("the alerts use only metrics and labels of a real run", checked);
    let checked = only_existing(&dashboard.replace("\\\"", "\""), &existing);
    suite.record(
        "the dashboard uses only metrics and labels of a real run",
        checked,
    );
    let promtool = |arguments: &[&str]| -> Result<String> {
        let mut command = Command::new(tool("promtool")?);
        success(&command.args(arguments).current_dir(root().join(CHART)).output()?)
    };
    let checked = promtool(&["check", "rules", "--lint=all", "--lint-fatal", ALERTS]).map(|_| ());
    suite.record("promtool check rules", checked);
    let checked = promtool(&["test", "rules", "tests/alerts.yaml"]).map(|_| ());
    suite.record("promtool test rules", checked);
    let checked = read("tests/alerts.yaml")
        .map_err(Into::into)
        .and_then(|tests| every_alert_has_tests(&alerts, &tests));
    suite.record(
        "every alert has a test in which it fires and one in which it does not",
        checked,
    );
    for (name, metrics, firing) in [
        ("no alert fires while everything works", healthy, &[][..]),
        ("the alerts of the faults fire, and no other", failing, FIRING),
    ] {
        let file = suite.work.join("run.yaml");
        fs::write(&file, run_test(&alerts, metrics, firing)?)?;
        let checked = promtool(&["test", "rules", &file.display().to_string()]).map(|_| ());
        suite.record(
            &format!("promtool, with the metrics of a real run: {name}"),
            checked,
        );
    }
    Ok(())
}

/// The names of all alerts.
pub(super) fn names(alerts: &str) -> Vec<&str> {
    let lines = alerts.lines().map(str::trim_start);
    lines.filter_map(|line| line.strip_prefix("- alert: ")).collect()
}

/// The labels of each metric.
fn existing(metrics: &str) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let source = fs::read_to_string(root().join("src/metrics/tests.rs"))?.replace("\\\"", "\"");
    for line in RARE {
        ensure!(
            source.contains(line),
            "src/metrics/tests.rs does not assert {line}"
        );
    }
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in metrics.lines().chain(RARE.iter().copied()) {
        if let Some((name, labels, _)) = sample(line) {
            found.entry(name.to_owned()).or_default().extend(labels);
        }
    }
    Ok(found)
}

/// The name, the label names and the value of a line such as `name{label="value"} 1`.
fn sample(line: &str) -> Option<(&str, Vec<String>, &str)> {
    if line.starts_with('#') {
        return None;
    }
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    Some((name, label_names(labels.trim_end_matches('}')), value))
}

/// The label names in `a="x",b!~"y"`. No value contains a comma.
fn label_names(selector: &str) -> Vec<String> {
    let names = selector.split(',').filter_map(|matcher| {
        let name = matcher.split(['=', '!']).next()?.trim();
        (!name.is_empty()).then(|| name.to_owned())
    });
    names.collect()
}

/// Fails if the text names a metric that does not exist, or a label that the metric or every series does not have.
fn only_existing(text: &str, existing: &BTreeMap<String, BTreeSet<String>>) -> Result<()> {
    let mut uses = 0;
    for (start, _) in text.match_indices("envelope_secrets_") {
        let rest = &text[start..];
        let end = rest
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let labels = existing
            .get(name)
            .with_context(|| format!("there is no metric {name}"))?;
        uses += 1;
        let Some(selector) = rest
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'))
            .map(|(selector, _)| selector)
        else {
            continue;
        };
        for label in label_names(selector) {
            ensure!(
                labels.contains(&label) || TARGET.contains(&label.as_str()),
                "{name} has no label {label}, but {labels:?}"
            );
        }
    }
    ensure!(
        uses > 10,
        "only {uses} uses of metrics: is the text parsed correctly?"
    );
    let all: BTreeSet<&str> = existing
        .values()
        .flatten()
        .map(String::as_str)
        .chain(TARGET.iter().copied())
        .collect();
    for (part, end) in [("by (", ')'), ("on (", ')'), ("$labels.", ' '), ("{{", '}')] {
        for (start, _) in text.match_indices(part) {
            let rest = &text[start + part.len()..];
            let list = rest.split([end, '}']).next().unwrap_or_default();
            for label in list.split(',').map(|label| label.trim().trim_end_matches('.')) {
                let is_name =
                    !label.is_empty() && label.chars().all(|it| it.is_ascii_lowercase() || it == '_');
                ensure!(!is_name || all.contains(label), "no metric has the label {label}");
            }
        }
    }
    Ok(())
}

fn every_alert_has_tests(alerts: &str, tests: &str) -> Result<()> {
    for alert in names(alerts) {
        let name = format!("alertname: {alert}\n");
        let count = |expected: bool| {
            let mut count = 0;
            for (start, _) in tests.match_indices(&name) {
                let after = tests[start + name.len()..].lines().next().unwrap_or_default();
                count += usize::from((after.trim() == "exp_alerts: []") != expected);
            }
            count
        };
        ensure!(count(true) > 0, "no test in which {alert} fires");
        ensure!(count(false) > 0, "no test in which {alert} does not fire");
    }
    Ok(())
}

/// A test of promtool in which the metrics of a run do not change for an hour.
fn run_test(alerts: &str, metrics: &str, firing: &[&str]) -> Result<String> {
    let mut test = format!(
        "rule_files: ['{}']\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n",
        root().join(CHART).join(ALERTS).display()
    );
    let mut series = 0;
    for line in metrics.lines() {
        let Some((_, _, value)) = sample(line) else {
            continue;
        };
        let (id, _) = line.rsplit_once(' ').context("a sample")?;
        let target = "namespace=\"envelope-secrets\",job=\"envelope-secrets\"";
        let id = match id.strip_suffix('}') {
            Some(labelled) => format!("{labelled},{target}}}"),
            None => format!("{id}{{{target}}}"),
        };
        // A time in the future of the test's clock, which starts at 0, as it was in the run.
        let _ = writeln!(test, "  - {{series: '{id}', values: '{value}x60'}}");
        series += 1;
    }
    ensure!(series > 50, "only {series} series");
    test += "  promql_expr_test:\n";
    for alert in names(alerts) {
        let count = usize::from(firing.contains(&alert));
        let samples = if count == 0 {
            "[]".to_owned()
        } else {
            "[{labels: '{}', value: 1}]".to_owned()
        };
        let _ = writeln!(
            test,
            "  - {{expr: 'count(count by (alertname) (ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}))', eval_time: 45m, \
             exp_samples: {samples}}}"
        );
    }
    Ok(test)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alerts() -> String {
        fs::read_to_string(root().join(CHART).join(ALERTS)).unwrap()
    }

    #[test]
    fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
        let alerts = alerts();
        let names: BTreeSet<String> = names(&alerts).into_iter().map(str::to_owned).collect();
        assert!(names.len() > 5, "{names:?}");
        let pages: BTreeSet<String> = fs::read_dir(root().join("docs/runbooks"))
            .unwrap()
            .filter_map(|entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                name.strip_suffix(".md").map(str::to_owned)
            })
            .filter(|name| name != "README")
            .collect();
        assert_eq!(names, pages);
        for name in names {
            assert!(
                alerts.contains(&format!("runbook_url: docs/runbooks/{name}.md\n")),
                "the annotation of {name}"
            );
            let page = fs::read_to_string(root().join(format!("docs/runbooks/{name}.md"))).unwrap();
            assert!(page.starts_with(&format!("# {name}\n")), "the title of {name}");
            for heading in ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"] {
                assert!(page.contains(heading), "{name}: {heading}");
            }
        }
    }

    #[test]
    fn unknown_metrics_and_labels_are_found() {
        let existing = BTreeMap::from([(
            "envelope_secrets_a_total".to_owned(),
            BTreeSet::from(["outcome".to_owned()]),
        )]);
        let many = "envelope_secrets_a_total ".repeat(11);
        assert!(only_existing(&many, &existing).is_ok());
        for (text, accepted) in [
            (
                "sum by (outcome) (envelope_secrets_a_total{outcome!=\"ok\"})",
                true,
            ),
            (
                "sum by (job, outcome) (envelope_secrets_a_total{namespace=\"x\"})",
                true,
            ),
            ("{{ $labels.outcome }}.", true),
            ("envelope_secrets_b_total", false),
            ("envelope_secrets_a_total{reason=\"x\"}", false),
            ("sum by (reason) (envelope_secrets_a_total)", false),
            ("{{ $labels.reason }}", false),
        ] {
            let result = only_existing(&format!("{many}{text}"), &existing);
            assert_eq!(result.is_ok(), accepted, "{text}");
        }
    }
}
