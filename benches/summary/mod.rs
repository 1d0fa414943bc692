//! Figures of a benchmark beside their budgets: printed as they come, kept as `target/bench/NAME.json`.
//! Nothing is measured here. `benches/report.rs` merges what all benchmarks kept, and prints one table.
//!
//! ```ignore
//! let mut summary = Summary::new("insert");
//! summary.add(Line::new("bulk, nothing to mask", "rows/s", 12_000.0).at_least(10_000.0).limit(0.3));
//! summary.write();
//! ```

// Each benchmark compiles this file for itself and uses a part of it.
#![allow(dead_code)]

pub mod criterion;
pub mod table;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a figure should be.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Budget {
    /// The number alone.
    pub const fn value(self) -> f64 {
        match self {
            Self::AtMost(value) | Self::AtLeast(value) => value,
        }
    }

    fn met(self, result: f64) -> bool {
        match self {
            Self::AtMost(most) => result <= most,
            Self::AtLeast(least) => result >= least,
        }
    }
}

/// One measured figure.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Line {
    /// What was measured.
    pub name: String,
    /// In what.
    pub unit: String,
    /// What came out.
    pub result: f64,
    /// What should have come out, where somebody decided that.
    #[serde(default)]
    pub budget: Option<Budget>,
    /// The result as a multiple of the nearest honest limit: of what nobody could be better than.
    #[serde(default)]
    pub limit_ratio: Option<f64>,
}

impl Line {
    /// A figure without a budget.
    pub fn new(name: impl Into<String>, unit: impl Into<String>, result: f64) -> Self {
        Self { name: name.into(), unit: unit.into(), result, budget: None, limit_ratio: None }
    }

    /// It should be at most so much.
    pub const fn at_most(mut self, budget: f64) -> Self {
        self.budget = Some(Budget::AtMost(budget));
        self
    }

    /// It should be at least so much.
    pub const fn at_least(mut self, budget: f64) -> Self {
        self.budget = Some(Budget::AtLeast(budget));
        self
    }

    /// Its ratio to the nearest honest limit.
    pub const fn limit(mut self, ratio: f64) -> Self {
        self.limit_ratio = Some(ratio);
        self
    }

    /// Whether it is as it should be, where that was decided.
    pub fn met(&self) -> Option<bool> {
        self.budget.map(|budget| budget.met(self.result))
    }
}

/// All figures of one benchmark.
pub struct Summary {
    name: &'static str,
    lines: Vec<Line>,
}

impl Summary {
    /// None yet. The name is that of the file, and comes before each figure's name in the table.
    pub const fn new(name: &'static str) -> Self {
        Self { name, lines: Vec::new() }
    }

    /// Prints and keeps a figure.
    pub fn add(&mut self, line: Line) {
        println!("{}", table::row(self.name, &line));
        self.lines.push(line);
    }

    /// Writes them below `target/bench`.
    pub fn write(&self) {
        let folder = folder();
        std::fs::create_dir_all(&folder).expect("a folder for results");
        let text = serde_json::to_string_pretty(&self.lines).expect("JSON");
        std::fs::write(folder.join(format!("{}.json", self.name)), text)
            .expect("results are written");
    }
}

/// The workspace's `target` folder.
pub fn target() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().filter(|folder| folder.join("Cargo.lock").exists()).last();
    root.unwrap_or(&here).join("target")
}

/// Where figures, plans and the summary are kept.
pub fn folder() -> PathBuf {
    target().join("bench")
}

/// Whether this is `cargo bench`: `cargo test --benches` passes through benchmarks as well, and measures
/// nothing.
pub fn measuring() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}
