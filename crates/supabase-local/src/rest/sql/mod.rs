//! The SQL of each kind of request: one statement that answers with finished JSON.
//! Writing SQL lives here; nothing that executes it or knows HTTP may.
//! Queries, payloads and cached tables come in, text goes out; all that comes from a request passes
//! through `quote`.

mod body;
mod call;
mod condition;
mod node;
mod write;

pub(super) use body::{Shape, Wrap};
pub(super) use call::{Arguments, call};
pub(super) use node::{Node, Root};
pub(super) use write::{Conflict, Returning, delete, insert, update};

use super::quote::{name, qualified};

/// The name of the common table expression that holds what was read, written or called.
pub(super) const SOURCE: &str = "pgrst_source";

/// A column of a qualified table, or all of them.
fn column(qualifier: &str, column: &str) -> String {
    if column == "*" { format!("{qualifier}.*") } else { format!("{qualifier}.{}", name(column)) }
}

fn of(table: &(String, String)) -> String {
    qualified(&table.0, &table.1)
}
