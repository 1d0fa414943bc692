//! Runs every scenario.

use super::{
    database::Warehouse,
    script::{Scenario, read},
    stream::{Outcome, backtest, stream},
};

/// Every file of scenarios.
const FILES: &[(&str, &str)] = &[
    ("counting", include_str!("counting.yaml")),
    ("incidents", include_str!("incidents.yaml")),
    ("kinds", include_str!("kinds.yaml")),
    ("messages", include_str!("messages.yaml")),
    ("novelty", include_str!("novelty.yaml")),
    ("shares", include_str!("shares.yaml")),
    ("traps", include_str!("traps.yaml")),
];

/// All scenarios, in the order of their files.
pub fn all() -> Vec<Scenario> {
    FILES.iter().flat_map(|(file, text)| read(file, text)).collect()
}

fn check(way: &str, scenario: &Scenario, got: &Outcome, problems: &mut String) {
    for (what, got, expected) in
        [("then", &got.then, &scenario.then), ("told", &got.told, &scenario.told)]
    {
        if got != expected {
            *problems += &format!("\n{way}: {}\n", scenario.name);
            *problems += &format!("  {what} expected:\n    {}\n", expected.join("\n    "));
            *problems += &format!("  {what} was:\n    {}\n", got.join("\n    "));
        }
    }
}

#[test]
fn streaming_and_back_test_do_what_each_scenario_says() {
    let mut problems = String::new();
    for scenario in all() {
        let (streamed, acknowledged) = stream(&scenario);
        check("streaming", &scenario, &streamed, &mut problems);
        check("back-test", &scenario, &backtest(&scenario, acknowledged), &mut problems);
    }
    assert!(problems.is_empty(), "{problems}");
}

#[test]
fn there_are_at_least_sixty_scenarios_with_a_name_of_their_own() {
    let scenarios = all();
    let names: std::collections::BTreeSet<_> = scenarios.iter().map(|s| &s.name).collect();
    assert_eq!(names.len(), scenarios.len());
    assert!(scenarios.len() >= 60, "{}", scenarios.len());
}

#[tokio::test]
async fn a_back_test_over_the_database_does_what_each_scenario_says() {
    let warehouse = Warehouse::new().await;
    let mut problems = String::new();
    for scenario in all() {
        let (_, acknowledged) = stream(&scenario);
        let outcome = warehouse.backtest(&scenario, &acknowledged).await;
        check("back-test over the database", &scenario, &outcome, &mut problems);
    }
    assert!(problems.is_empty(), "{problems}");
}
