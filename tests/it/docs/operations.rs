//! What `docs/operations.md` tells an operator to type is typed here, beside a daemon that leads.

use meshhook_errors::{clock::Clock, model::Span};
use sqlx::AssertSqlSafe;

use super::{blocks, commands::named, words};
use crate::support::{
    process::{Folder, run},
    stack::{Stack, event},
};

const PAGE: &str = include_str!("../../../docs/operations.md");

/// The statements of the page, in blocks and between backticks.
fn statements() -> Vec<&'static str> {
    let verbs = ["alter ", "insert ", "select ", "update "];
    let inline = PAGE.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let all = blocks(PAGE, "sql").into_iter().chain(inline);
    all.filter(|text| verbs.iter().any(|verb| text.starts_with(verb))).collect()
}

#[tokio::test]
async fn the_commands_of_an_operator_work() {
    let stack = Stack::start().await;
    stack.channel("ops", "webhook").await;
    let daemon = stack.daemon().await;
    stack.reporter(None).insert_errors(&[event(None, "system", "x")]).await.expect("an error");
    let folder = Folder::new();
    let pages = folder.path().join("man1");
    // Hours that are over: what is counted in this one is still on its way.
    let now = Clock::system().now();
    let hours = |ago: i64| now - Span::from_secs(3_600 * ago);

    let commands = named(PAGE, "meshhook-errors");
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands.iter().filter(|command| *command != "meshhook-errors run") {
        let typed = command
            .replace("CHANNEL", "ops")
            .replace("FROM TO", &format!("{} {}", hours(3), hours(1)))
            .replace("/usr/local/share/man/man1", pages.to_str().expect("a path"));
        let words = words(&typed);
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let secret = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0";
        let output = run(&stack.variables(), &arguments, secret).await;
        assert_eq!(output.status, 0, "{command}: {output:?}");
    }
    let page = std::fs::read_to_string(pages.join("meshhook-errors.1")).expect("a manual page");
    assert!(page.contains("meshhook"), "{page}");
    daemon.stop().await;
}

#[tokio::test]
async fn the_statements_of_an_operator_run() {
    let stack = Stack::start().await;
    stack
        .alter("insert into auth.users (id, email) values (gen_random_uuid(), 'ada@example.com')")
        .await;
    let statements = statements();
    assert!(statements.len() >= 6, "{statements:?}");
    // As the owner of the database, who the SQL editor of a project is.
    let mut transaction = stack.admin.begin().await.expect("a transaction");
    for statement in statements {
        let typed = statement.replace("email = '…'", "email = 'ada@example.com'").replace('…', "x");
        let done = sqlx::raw_sql(AssertSqlSafe(typed))
            .execute(&mut *transaction)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{statement}"));
        let changes = statement.starts_with("insert") || statement.starts_with("update");
        assert!(!changes || done.rows_affected() == 1, "nothing came of it:\n{statement}");
    }
    transaction.rollback().await.expect("all is as before");
}
