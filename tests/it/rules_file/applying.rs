//! A file is applied, changed, checked and exported, by the binary, to a project.

use serde_json::{Value, json};

use super::documents::blocks;
use crate::support::{
    process::{Folder, Output, run_in},
    stack::{Stack, Variables},
};

async fn rules(variables: &Variables, folder: &Folder, arguments: &[&str]) -> Output {
    let arguments: Vec<&str> = ["rules"].iter().chain(arguments).copied().collect();
    run_in(folder.path(), variables, &arguments, "").await
}

const FILE: &str = "version: 1
rules:
  - name: Workers fail
    description: Look at the queue first.
    metric: count
    sources: [worker]
    group_by: [workflow]
    window: 10m
    warning: 5
    critical: 20
    channels: [Ops, {name: Pager, min_level: critical}]

  - name: Too many runs fail
    metric: ratio
    window: 1h
    warning: 0.05
    min_runs: 50
";

#[tokio::test]
async fn a_file_is_applied_and_exported() {
    let stack = Stack::start().await;
    let project = stack.project("shop").await;
    stack.channel("Ops", "webhook").await;
    stack.channel("Pager", "webhook").await;
    let folder = Folder::new();
    let file = folder.path().join("rules.yaml");
    std::fs::write(&file, FILE).expect("a file");
    let (variables, id) = (stack.variables(), project.to_string());
    let apply = ["apply", "-f", "rules.yaml", "--project", &id];

    let tried = rules(&variables, &folder, &[&apply[..], &["--dry-run"]].concat()).await;
    assert_eq!(tried.status, 0, "{}", tried.err);
    assert!(
        tried.out.ends_with("2 to create, 0 to change, 0 to delete, 0 unchanged\n"),
        "{}",
        tried.out
    );
    assert_eq!(stack.number("select count(*) from public.alert_rules").await, 0);

    let applied = rules(&variables, &folder, &apply).await;
    assert_eq!(applied.status, 0, "{}", applied.err);
    assert!(applied.out.ends_with("applied\n"), "{}", applied.out);
    let managed = "select count(*) from public.alert_rules where managed_by = 'rules.yaml' and project_id is not null";
    assert_eq!(stack.number(managed).await, 2);
    assert_eq!(stack.number("select count(*) from public.alert_rule_channels").await, 2);

    let exported = rules(&variables, &folder, &["export", "--project", &id]).await;
    assert_eq!(exported.status, 0, "{}", exported.err);
    let names: Vec<&str> = exported.out.lines().filter(|line| line.contains("name:")).collect();
    assert_eq!(names.len(), 3, "{}", exported.out);
    assert!(exported.out.contains("channels: [Ops, {name: Pager, min_level: critical}]"));
    std::fs::write(&file, &exported.out).expect("a file");
    let again = rules(&variables, &folder, &apply).await;
    assert_eq!(again.out, "0 to create, 0 to change, 0 to delete, 2 unchanged\n", "{}", again.err);

    // Somebody changes a rule by hand and makes another one; the file changes and loses one.
    stack.alter("update public.alert_rules set warning = 7 where name = 'Workers fail'").await;
    stack.rule("By hand", json!({"project_id": project, "warning": 3}), &[]).await;
    let shorter =
        FILE.split("\n  - name: Too").next().expect("a first rule").replace("[Ops, ", "[");
    std::fs::write(&file, shorter).expect("a file");
    let planned = [&apply[..], &["--dry-run", "--json"]].concat();
    let planned = rules(&variables, &folder, &planned).await;
    let planned: Value = serde_json::from_str(&planned.out).expect("one object");
    assert_eq!((&planned["applied"], &planned["unchanged"]), (&json!(false), &json!(0)));
    let changes = planned["changes"].as_array().expect("changes");
    let kinds: Vec<_> = changes.iter().map(|change| (&change["change"], &change["name"])).collect();
    assert_eq!(
        kinds,
        [
            (&json!("update"), &json!("Workers fail")),
            (&json!("delete"), &json!("Too many runs fail"))
        ]
    );
    assert_eq!(changes[0]["differences"][0], json!({"field": "warning", "from": "7", "to": "5"}));
    let changed = rules(&variables, &folder, &apply).await;
    assert_eq!(changed.status, 0, "{}", changed.err);
    for expected in [
        "~ Workers fail\n    warning: 7 -> 5\n    channels: [Ops, {name: Pager, min_level: critical}] -> [{name: Pager, min_level: critical}]\n",
        "- Too many runs fail\n",
        "0 to create, 1 to change, 1 to delete, 0 unchanged",
    ] {
        assert!(changed.out.contains(expected), "{expected:?} is not in {}", changed.out);
    }
    assert_eq!(stack.number("select count(*) from public.alert_rules").await, 2, "By hand stays");
    assert_eq!(stack.number("select count(*) from public.alert_rule_channels").await, 1);

    // A rule of the same name that people made is not taken over without a word.
    std::fs::write(&file, "rules: [{name: By hand, warning: 4}]").expect("a file");
    let refused = rules(&variables, &folder, &apply).await;
    assert_ne!(refused.status, 0);
    assert!(
        refused.err.contains("rules.yaml: line 1: name: \"By hand\" exists"),
        "{}",
        refused.err
    );
    std::fs::write(&file, "rules:\n  - name: x\n    windw: 5m\n").expect("a file");
    let wrong = rules(&variables, &folder, &["check", "rules.yaml"]).await;
    assert!(
        wrong
            .err
            .contains("rules.yaml: line 3: windw: is not a field of a rule; did you mean window?"),
        "{}",
        wrong.err
    );
    let wrong = rules(&variables, &folder, &["check", "--json", "rules.yaml"]).await;
    let answer: Value = serde_json::from_str(&wrong.out).expect("one object");
    assert_eq!((wrong.status, &answer["problems"][0]["line"]), (1, &json!(3)), "{wrong:?}");
    assert_eq!(answer["problems"][0]["field"], "windw");
}

#[tokio::test]
async fn every_recipe_of_the_manual_can_be_applied() {
    let stack = Stack::start().await;
    let project = stack.project("shop").await;
    stack.channel("Ops", "webhook").await;
    stack.channel("Pager", "webhook").await;
    let folder = Folder::new();
    let id = project.to_string();
    for (number, block) in (1_i64..).zip(blocks()) {
        let name = format!("recipe-{number}.yaml");
        std::fs::write(folder.path().join(&name), block).expect("a file");
        let apply = ["apply", "-f", &name, "--project", &id];
        let applied = rules(&stack.variables(), &folder, &apply).await;
        assert_eq!(applied.status, 0, "{block}\n{}", applied.err);
        let again = rules(&stack.variables(), &folder, &apply).await;
        assert_eq!(again.out, "0 to create, 0 to change, 0 to delete, 1 unchanged\n", "{block}");
        assert_eq!(stack.number("select count(*) from public.alert_rules").await, number);
    }
}
