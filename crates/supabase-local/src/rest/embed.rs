//! Which relationship an embedded resource means.

use serde_json::{Value, json};

use super::{
    cache::{Cache, Cardinality, Relation},
    error::ApiError,
    hint::{NAMES, nearest},
    query::Embed,
};

/// Finds the one relationship from a table to what is to be embedded.
///
/// The name may be the other table's, a foreign key's, or that of the key's single column; the hint
/// tells apart what the name leaves open.
pub(super) fn find_relation<'a>(
    cache: &'a Cache,
    schema: &str,
    table: &str,
    embed: &Embed,
) -> Result<&'a Relation, ApiError> {
    let all = cache.relations(schema, table);
    let matching: Vec<&Relation> = all
        .iter()
        .filter(|relation| is_named(relation, &embed.name))
        .filter(|relation| embed.hint.as_ref().is_none_or(|hint| is_hinted(relation, hint)))
        .collect();
    match matching.as_slice() {
        [one] => Ok(one),
        [] => {
            let view = |name: &str| cache.table(schema, name).is_some_and(|table| table.view);
            if view(table) || view(&embed.name) {
                return Err(ApiError::unsupported("embedding through a view"));
            }
            let computed = cache.functions(schema, &embed.name).iter().any(|function| {
                matches!(function.parameters.as_slice(), [one] if one.type_name == table)
            });
            if computed {
                return Err(ApiError::unsupported("embedding through a function"));
            }
            let hint = embed.hint.as_deref();
            let near = nearest(&embed.name, all.iter().map(|r| r.target.1.as_str()), NAMES);
            let near = near.filter(|near| *near != embed.name);
            let near =
                near.map(|near| format!("Perhaps you meant '{near}' instead of '{}'.", embed.name));
            Err(ApiError::no_relation(schema, table, &embed.name, hint).hint(near))
        }
        several => Err(ambiguous(table, &embed.name, several)),
    }
}

fn is_named(relation: &Relation, name: &str) -> bool {
    relation.target.1 == name
        || (relation.junction.is_none() && relation.constraint == name)
        || (relation.to_one() && matches!(relation.columns.as_slice(), [(here, _)] if here == name))
}

fn is_hinted(relation: &Relation, hint: &str) -> bool {
    match &relation.junction {
        Some(junction) => junction.table.1 == hint,
        None => {
            relation.constraint == hint
                || matches!(relation.columns.as_slice(), [(here, there)] if here == hint || there == hint)
        }
    }
}

fn ambiguous(table: &str, name: &str, relations: &[&Relation]) -> ApiError {
    let details: Vec<Value> = relations.iter().map(|relation| describe(table, relation)).collect();
    let hints: Vec<String> = relations
        .iter()
        .map(|relation| {
            let by = relation.junction.as_ref().map_or(&relation.constraint, |j| &j.table.1);
            format!("'{}!{by}'", relation.target.1)
        })
        .collect();
    let message = format!(
        "Could not embed because more than one relationship was found for '{table}' and '{name}'"
    );
    let hint = format!(
        "Try changing '{name}' to one of the following: {}. Find the desired relationship in the 'details' key.",
        hints.join(", ")
    );
    ApiError::new(300, "PGRST201", message).details(details).hint(Some(hint))
}

fn describe(table: &str, relation: &Relation) -> Value {
    let list = |columns: Vec<&str>| format!("({})", columns.join(", "));
    let target = &relation.target.1;
    let (kind, how) = match (&relation.junction, relation.cardinality) {
        (Some(junction), _) => {
            let here = junction.from_here.iter().map(|(_, j)| j.as_str()).collect();
            let there = junction.to_there.iter().map(|(j, _)| j.as_str()).collect();
            let how = format!(
                "{} using {}{} and {}{}",
                junction.table.1,
                relation.constraint,
                list(here),
                junction.other_constraint,
                list(there)
            );
            ("many-to-many", how)
        }
        (None, cardinality) => {
            let here = relation.columns.iter().map(|(here, _)| here.as_str()).collect();
            let there = relation.columns.iter().map(|(_, there)| there.as_str()).collect();
            let how = format!(
                "{} using {table}{} and {target}{}",
                relation.constraint,
                list(here),
                list(there)
            );
            let kind = match cardinality {
                Cardinality::ManyToOne => "many-to-one",
                Cardinality::OneToMany => "one-to-many",
                Cardinality::OneToOne => "one-to-one",
                Cardinality::ManyToMany => "many-to-many",
            };
            (kind, how)
        }
    };
    json!({"cardinality": kind, "embedding": format!("{table} with {target}"), "relationship": how})
}
