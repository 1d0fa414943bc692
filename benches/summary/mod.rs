//! Results of a benchmark beside their budgets: printed as a table, kept as `target/bench/NAME.json`.
//! Nothing is measured here.
//! Lines come in from a benchmark; `make bench` joins the files to `target/bench/summary.json`.

use std::path::Path;

use serde_json::{Value, json};

/// One measured figure.
pub struct Line {
    name: String,
    unit: &'static str,
    result: f64,
    budget: Option<(f64, Better)>,
    limit_ratio: Option<f64>,
}

/// Which side of the budget is good.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Times and sizes.
    Less,
    /// Rates.
    #[allow(dead_code, reason = "not every benchmark measures a rate")]
    More,
}

impl Line {
    /// A figure without a budget.
    pub fn new(name: impl Into<String>, unit: &'static str, result: f64) -> Self {
        Self { name: name.into(), unit, result, budget: None, limit_ratio: None }
    }

    /// It should be at most so much.
    pub const fn within(mut self, budget: f64) -> Self {
        self.budget = Some((budget, Better::Less));
        self
    }

    fn met(&self) -> Option<bool> {
        self.budget.map(|(budget, better)| match better {
            Better::Less => self.result <= budget,
            Better::More => self.result >= budget,
        })
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "unit": self.unit,
            "budget": self.budget.map(|(budget, _)| budget),
            "result": self.result,
            "met": self.met(),
            "limit_ratio": self.limit_ratio,
        })
    }
}

/// All figures of one benchmark.
pub struct Summary {
    name: &'static str,
    lines: Vec<Line>,
}

impl Summary {
    /// None yet.
    pub fn new(name: &'static str) -> Self {
        println!("{:<44} {:>12} {:>12}", name, "result", "budget");
        Self { name, lines: Vec::new() }
    }

    /// Prints and keeps a figure.
    pub fn add(&mut self, line: Line) {
        let budget = line.budget.map_or(String::new(), |(budget, better)| {
            let sign = if better == Better::Less { "<=" } else { ">=" };
            let verdict = if line.met() == Some(false) { "  MISSED" } else { "" };
            format!("{sign} {budget}{verdict}")
        });
        println!("{:<44} {:>9.1} {:<4} {budget}", line.name, line.result, line.unit);
        self.lines.push(line);
    }

    /// Writes them below `target/bench`.
    pub fn write(&self, root: &Path) {
        let folder = root.join("target/bench");
        std::fs::create_dir_all(&folder).expect("a folder for results");
        let lines: Vec<_> = self.lines.iter().map(Line::json).collect();
        let text = serde_json::to_string_pretty(&lines).expect("JSON");
        std::fs::write(folder.join(format!("{}.json", self.name)), text)
            .expect("results are written");
    }
}
