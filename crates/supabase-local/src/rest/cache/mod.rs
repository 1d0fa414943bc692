//! What the served schemas contain: tables, relationships and functions.
//! The cache and look-ups in it live here; nothing that reads requests may.
//! It is filled from `pg_catalog`, and read by whoever plans a statement.

mod load;
mod relation;
mod shared;

use std::collections::HashMap;

use serde::Deserialize;

pub(super) use relation::{Cardinality, Relation};
pub(super) use shared::SharedCache;

/// A schema and a name in it.
pub(super) type Name = (String, String);

/// Everything that is served.
#[derive(Clone, Debug, Default)]
pub(super) struct Cache {
    pub tables: HashMap<Name, Table>,
    /// By the table from which a relationship is seen.
    pub relations: HashMap<Name, Vec<Relation>>,
    /// By name; functions may be overloaded.
    pub functions: HashMap<Name, Vec<Function>>,
}

/// A table or a view.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub schema: String,
    pub name: String,
    pub view: bool,
    pub columns: Vec<Column>,
    pub primary_key: Vec<String>,
}

/// A column with its type as it is written in SQL.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub type_name: String,
    pub default: Option<String>,
}

/// A function.
#[derive(Clone, Debug)]
pub(super) struct Function {
    pub schema: String,
    pub name: String,
    pub volatile: bool,
    pub parameters: Vec<Parameter>,
    pub returns_set: bool,
    pub returns_void: bool,
    /// Rows with columns, and not a single value.
    pub returns_composite: bool,
    /// The table whose rows it returns.
    pub table: Option<Name>,
}

/// A parameter that takes a value.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Parameter {
    pub name: String,
    #[serde(rename = "type")]
    pub type_name: String,
    pub required: bool,
    pub variadic: bool,
}

impl Cache {
    pub(super) fn table(&self, schema: &str, name: &str) -> Option<&Table> {
        self.tables.get(&(schema.to_owned(), name.to_owned()))
    }

    pub(super) fn functions(&self, schema: &str, name: &str) -> &[Function] {
        self.functions
            .get(&(schema.to_owned(), name.to_owned()))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    pub(super) fn relations(&self, schema: &str, table: &str) -> &[Relation] {
        self.relations
            .get(&(schema.to_owned(), table.to_owned()))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
}

impl Table {
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl Function {
    /// A single value, or one value a row.
    pub(super) fn returns_scalar(&self) -> bool {
        !self.returns_composite
    }
}
