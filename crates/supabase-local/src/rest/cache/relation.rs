//! Relationships between tables, derived from foreign keys.

use std::collections::{BTreeSet, HashMap};

use super::{Cache, Name};

/// A way from one table to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Relation {
    pub constraint: String,
    pub target: Name,
    pub cardinality: Cardinality,
    /// Pairs of equal columns: here and there. Empty with a junction.
    pub columns: Vec<(String, String)>,
    pub junction: Option<Junction>,
}

/// How many rows are at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Cardinality {
    ManyToOne,
    OneToMany,
    OneToOne,
    ManyToMany,
}

/// The table between two others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Junction {
    pub table: Name,
    pub other_constraint: String,
    /// Pairs of columns: the starting table's and the junction's.
    pub from_here: Vec<(String, String)>,
    /// Pairs of columns: the junction's and the target's.
    pub to_there: Vec<(String, String)>,
}

impl Relation {
    pub(in super::super) fn to_one(&self) -> bool {
        matches!(self.cardinality, Cardinality::ManyToOne | Cardinality::OneToOne)
    }
}

/// A foreign key as the database has it.
#[derive(Clone, Debug)]
pub(super) struct ForeignKey {
    pub constraint: String,
    pub from: Name,
    pub from_columns: Vec<String>,
    pub to: Name,
    pub to_columns: Vec<String>,
    pub unique: bool,
}

/// Both directions of each key, and many-to-many through tables whose primary key holds two.
pub(super) fn derive(cache: &Cache, keys: &[ForeignKey]) -> HashMap<Name, Vec<Relation>> {
    let mut relations: HashMap<Name, Vec<Relation>> = HashMap::new();
    for key in keys {
        let (forth, back) = if key.unique {
            (Cardinality::OneToOne, Cardinality::OneToOne)
        } else {
            (Cardinality::ManyToOne, Cardinality::OneToMany)
        };
        let relation = |target: &Name, cardinality, here: &[String], there: &[String]| Relation {
            constraint: key.constraint.clone(),
            target: target.clone(),
            cardinality,
            columns: pairs(here, there),
            junction: None,
        };
        relations.entry(key.from.clone()).or_default().push(relation(
            &key.to,
            forth,
            &key.from_columns,
            &key.to_columns,
        ));
        // A key to the same table is seen from both ends by different names; the real server
        // offers both too.
        relations.entry(key.to.clone()).or_default().push(relation(
            &key.from,
            back,
            &key.to_columns,
            &key.from_columns,
        ));
    }
    for one in keys {
        let Some(between) = cache.tables.get(&one.from) else { continue };
        let primary: BTreeSet<_> = between.primary_key.iter().collect();
        for other in keys.iter().filter(|key| key.from == one.from) {
            let columns = one.from_columns.iter().chain(&other.from_columns);
            if one.constraint == other.constraint || !columns.clone().all(|c| primary.contains(c)) {
                continue;
            }
            relations.entry(one.to.clone()).or_default().push(Relation {
                constraint: one.constraint.clone(),
                target: other.to.clone(),
                cardinality: Cardinality::ManyToMany,
                columns: Vec::new(),
                junction: Some(Junction {
                    table: one.from.clone(),
                    other_constraint: other.constraint.clone(),
                    from_here: pairs(&one.to_columns, &one.from_columns),
                    to_there: pairs(&other.from_columns, &other.to_columns),
                }),
            });
        }
    }
    relations
}

fn pairs(here: &[String], there: &[String]) -> Vec<(String, String)> {
    here.iter().cloned().zip(there.iter().cloned()).collect()
}
