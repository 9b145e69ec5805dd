//! Two runs side by side: every figure that both have, and its ratio.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

/// Reads the figures of an earlier run of the same benchmark.
///
/// # Errors
///
/// If there is no such file, or it has no figures of this benchmark.
pub fn read(path: &Path, bench: &str) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let shown = path.display();
    let of_this = |figures: &Value| figures["bench"] == bench;
    serde_json::from_str(&text).ok().filter(of_this).with_context(|| {
        format!("{shown} has no figures of the benchmark `{bench}`; run it with --json={shown}")
    })
}

/// A line a figure: its name, before, now, now ÷ before.
pub fn table(before: &Value, now: &Value) -> String {
    let mut table = format!("\n{:<58} {:>14} {:>14} {:>7}\n", "figure", "before", "now", "ratio");
    lines("", before, now, &mut table);
    table
}

fn lines(name: &str, before: &Value, now: &Value, table: &mut String) {
    let inner = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            for (key, now) in now {
                if let Some(before) = before.get(key) {
                    lines(&inner(key), before, now, table);
                }
            }
        }
        (Value::Array(before), Value::Array(now)) => {
            for (index, (before, now)) in before.iter().zip(now).enumerate() {
                lines(&inner(&label(now).unwrap_or_else(|| index.to_string())), before, now, table);
            }
        }
        _ => {
            if let (Some(before), Some(now)) = (before.as_f64(), now.as_f64()) {
                let ratio = if before == 0.0 { String::new() } else { format!("{:.2}", now / before) };
                // writing to a string can't fail
                let written = writeln!(table, "{name:<58} {before:>14.2} {now:>14.2} {ratio:>7}");
                debug_assert!(written.is_ok());
            }
        }
    }
}

/// What a row of an array is called.
fn label(row: &Value) -> Option<String> {
    ["step", "cadence", "system", "meters"].iter().find_map(|key| {
        let value = row.get(key)?;
        Some(value.as_str().map_or_else(|| format!("{value} {key}"), str::to_owned))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Figures of another benchmark, and what is no figures, are refused, before anything is measured.
    #[test]
    fn other_files_are_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let shown = file.path().display();
        for (text, well) in [
            ("{\"bench\": \"grid\", \"x\": 1}", true),
            ("{\"bench\": \"pipeline\"}", false),
            ("{}", false),
            ("a,b", false),
        ] {
            std::fs::write(file.path(), text).unwrap();
            match read(file.path(), "grid") {
                Ok(figures) => assert!(well && figures["x"] == 1, "{text}"),
                Err(error) => {
                    let wanted =
                        format!("{shown} has no figures of the benchmark `grid`; run it with --json={shown}");
                    assert!(!well && error.to_string() == wanted, "{text}: {error}");
                }
            }
        }
    }

    /// What both have is compared, by name; what only one has is left out.
    #[test]
    fn what_both_have_is_compared() {
        let before = json!({"a": 2.0, "gone": 1, "rows": [{"meters": 10, "x": 4}], "zero": 0, "text": "t"});
        let now = json!({"a": 3.0, "new": 1, "rows": [{"meters": 10, "x": 1}, {"meters": 100}], "zero": 5, "text": "u"});
        let lines: Vec<Vec<String>> = table(&before, &now)
            .lines()
            .skip(2)
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect();
        let lines: Vec<String> = lines.into_iter().map(|cells| cells.join(" ")).collect();
        assert_eq!(
            lines,
            [
                "a 2.00 3.00 1.50",
                "rows.10 meters.meters 10.00 10.00 1.00",
                "rows.10 meters.x 4.00 1.00 0.25",
                "zero 0.00 5.00"
            ]
        );
    }
}
