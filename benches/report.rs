//! The last step of `make bench`: merges what the benchmarks kept in `target/bench`, prints one table,
//! and writes `target/bench/summary.json`, a list of `{name, unit, budget, result, met, limit_ratio}`.
//!
//! Each benchmark's figures stay until it runs again, so that those of `make bench-scale` and
//! `make bench-e2e`, which take long, are in the table as well.

use std::{fs, path::Path, time::SystemTime};

use serde_json::json;

mod summary;

use summary::{Budget, Line, table};

const SUMMARY: &str = "summary.json";

fn main() {
    if !summary::measuring() {
        return;
    }
    let folder = summary::folder();
    let mut all = Vec::new();
    println!("{}", table::head());
    for name in benchmarks(&folder) {
        let file = folder.join(format!("{name}.json"));
        let text = fs::read_to_string(&file).expect("results are read");
        let lines: Vec<Line> = serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("{}: {error}; run this benchmark again", file.display())
        });
        for line in &lines {
            println!("{}", table::row(&name, line));
        }
        if let Some(hours) = age_in_hours(&file).filter(|hours| *hours >= 1) {
            println!("    ({name}: measured {hours} h ago)");
        }
        all.extend(lines.into_iter().map(|line| (name.clone(), line)));
    }
    let (decided, missed) = all.iter().fold((0, 0), |(decided, missed), (_, line)| {
        let met = line.met();
        (decided + usize::from(met.is_some()), missed + usize::from(met == Some(false)))
    });
    println!("{} of {decided} budgets met, {} figures in all", decided - missed, all.len());
    let list: Vec<_> = all
        .iter()
        .map(|(benchmark, line)| {
            json!({
                "name": format!("{benchmark}: {}", line.name),
                "unit": line.unit,
                "budget": line.budget.map(Budget::value),
                "result": line.result,
                "met": line.met(),
                "limit_ratio": line.limit_ratio,
            })
        })
        .collect();
    fs::create_dir_all(&folder).expect("a folder for results");
    let text = serde_json::to_string_pretty(&list).expect("JSON");
    fs::write(folder.join(SUMMARY), text + "\n").expect("the summary is written");
    println!("written to target/bench/{SUMMARY}");
}

/// Names of the benchmarks that kept figures, in order.
fn benchmarks(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name != SUMMARY)
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect();
    names.sort();
    names
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is no part of the daemon")]
fn age_in_hours(file: &Path) -> Option<u64> {
    let written = fs::metadata(file).ok()?.modified().ok()?;
    Some(SystemTime::now().duration_since(written).ok()?.as_secs() / 3_600)
}
