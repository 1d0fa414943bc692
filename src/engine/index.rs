//! Finds the rules that count an event without looking at the others.
//!
//! A rule's *shape* is the set of fields it fixes (project, workflow, source, error type by class or
//! exactly, severity). Each shape in use has one hash map from the values of those fields to the rules
//! that ask for them, so an event costs one look-up per shape, however many rules there are. A rule
//! that lists several values has one entry per combination; where that would be too many, the longest
//! list is left out of the shape and checked by the filter instead, as a text in the message always is.

use std::collections::HashSet;

use rustc_hash::FxHashMap;

use super::intern::{Atoms, Interns, NULL, Needs, UNKNOWN};
use crate::model::{Rule, TypePattern};

/// The most entries one rule may have; 3 sources × 3 severities × 7 types still fit.
const MAX_COMBINATIONS: usize = 64;

const PROJECT: u8 = 1;
const WORKFLOW: u8 = 2;
const CLASS: u8 = 4;
const EXACT: u8 = 8;
const SOURCE: u8 = 16;
const SEVERITY: u8 = 32;

/// Values of the fixed fields: project, workflow, class or exact type, source and severity.
type Values = [u32; 4];

/// A rule that an event's fixed fields lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The rule's slot.
    pub slot: u32,
    /// Whether the rule's remaining filter must still accept the event.
    pub check: bool,
}

/// The index over one set of rules; rebuilt when the set changes.
#[derive(Debug, Default)]
pub(super) struct Index {
    shapes: Vec<Shape>,
    entries: Vec<Entry>,
    uuids: Vec<u32>,
    texts: Vec<u32>,
    needs: Needs,
}

#[derive(Debug)]
struct Shape {
    fields: u8,
    rules: FxHashMap<Values, Found>,
}

/// The rules for one set of values.
#[derive(Clone, Copy, Debug)]
enum Found {
    /// Mostly there is one only, and no need to fetch another line of memory for it.
    One(Entry),
    /// From where to where they stand in `entries`.
    Many(u32, u32),
}

/// Which fields an index may fix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// Error events: every field.
    Events,
    /// Workflow runs: they have a project and a workflow only.
    Runs,
}

impl Index {
    /// Builds the index of `rules` (slot and rule), taking references to the values they name.
    pub fn build<'a>(
        rules: impl Iterator<Item = (u32, &'a Rule)>,
        subject: Subject,
        interns: &mut Interns,
    ) -> Self {
        let mut index = Self::default();
        let mut found: FxHashMap<(u8, Values), Vec<Entry>> = FxHashMap::default();
        let mut order: Vec<(u8, Values)> = Vec::new();
        for (slot, rule) in rules {
            let mut combinations = Vec::new();
            let check = index.combinations(rule, subject, interns, &mut combinations);
            for key in combinations {
                let list = found.entry(key).or_default();
                if list.is_empty() {
                    order.push(key);
                }
                list.push(Entry { slot, check });
            }
        }
        for key in order {
            let list = found.remove(&key).unwrap_or_default();
            let found = match *list {
                [one] => Found::One(one),
                _ => {
                    let start = index.entries.len();
                    index.entries.extend(list);
                    Found::Many(count(start), count(index.entries.len()))
                }
            };
            index.shape(key.0).rules.insert(key.1, found);
        }
        index.shapes.sort_by_key(|shape| shape.fields);
        index
    }

    /// Gives back the references taken by [`Index::build`].
    pub fn release(&mut self, interns: &mut Interns) {
        self.uuids.drain(..).for_each(|number| interns.uuids.release(number));
        self.texts.drain(..).for_each(|number| interns.texts.release(number));
    }

    /// The fields that some rule fixes.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// Passes on every rule that the fixed fields of an event lead to, each at most once.
    #[inline]
    pub fn matching(&self, atoms: &Atoms, mut found: impl FnMut(Entry)) {
        for shape in &self.shapes {
            let pick = |field: u8, value: u32| if shape.fields & field == 0 { NULL } else { value };
            let kind = pick(SOURCE, atoms.kind & 0xff00) | pick(SEVERITY, atoms.kind & 0x00ff);
            let text = pick(CLASS, atoms.class) | pick(EXACT, atoms.error_type);
            let values = [pick(PROJECT, atoms.project), pick(WORKFLOW, atoms.workflow), text, kind];
            if values.contains(&UNKNOWN) {
                continue;
            }
            match shape.rules.get(&values) {
                None => {}
                Some(Found::One(entry)) => found(*entry),
                Some(Found::Many(start, end)) => {
                    let range = *start as usize..*end as usize;
                    self.entries.get(range).unwrap_or_default().iter().for_each(|e| found(*e));
                }
            }
        }
    }

    fn shape(&mut self, fields: u8) -> &mut Shape {
        let place = self.shapes.iter().position(|shape| shape.fields == fields);
        let place = place.unwrap_or_else(|| {
            self.shapes.push(Shape { fields, rules: FxHashMap::default() });
            self.shapes.len() - 1
        });
        &mut self.shapes[place]
    }

    /// All entries of one rule; returns whether its filter must be checked as well.
    fn combinations(
        &mut self,
        rule: &Rule,
        subject: Subject,
        interns: &mut Interns,
        out: &mut Vec<(u8, Values)>,
    ) -> bool {
        let filter = &rule.filter;
        let mut lists: [Vec<(u8, u32)>; 5] = Default::default();
        let [projects, workflows, types, sources, severities] = &mut lists;
        projects.extend(rule.project_id.iter().map(|id| (PROJECT, self.uuid(id, interns))));
        let mut seen = HashSet::new();
        let distinct = filter.workflow_ids.iter().filter(|id| seen.insert(**id));
        workflows.extend(distinct.map(|id| (WORKFLOW, self.uuid(id, interns))));
        let mut check = false;
        if subject == Subject::Events {
            types.extend(self.types(&filter.error_types, interns));
            sources.extend(filter.sources.iter().map(|s| (SOURCE, (*s as u32 + 1) << 8)));
            severities.extend(filter.severities.iter().map(|s| (SEVERITY, *s as u32 + 1)));
            check = filter.message_contains.is_some();
        }
        for list in [sources, severities] {
            list.sort_unstable();
            list.dedup();
        }
        while lists.iter().map(|list| list.len().max(1)).product::<usize>() > MAX_COMBINATIONS {
            if let Some(longest) = lists.iter_mut().max_by_key(|list| list.len()) {
                longest.clear();
                check = true;
            }
        }
        for list in &mut lists {
            if list.is_empty() {
                list.push((0, NULL));
            }
        }
        let [projects, workflows, types, sources, severities] = &lists;
        for project in projects {
            for workflow in workflows {
                for text in types {
                    for source in sources {
                        for severity in severities {
                            let shape = project.0 | workflow.0 | text.0 | source.0 | severity.0;
                            let kind = source.1 | severity.1;
                            out.push((shape, [project.1, workflow.1, text.1, kind]));
                            self.needs.add(shape);
                        }
                    }
                }
            }
        }
        check
    }

    /// Disjoint patterns: an exact type whose class is listed too would lead to the rule twice.
    fn types(&mut self, patterns: &[TypePattern], interns: &mut Interns) -> Vec<(u8, u32)> {
        let mut seen = HashSet::new();
        let covered = |exact: &str| {
            let class = TypePattern::class_of(exact);
            patterns.iter().any(|p| matches!(p, TypePattern::Class(c) if **c == *class))
        };
        let mut types = Vec::new();
        for pattern in patterns {
            let (field, text) = match pattern {
                TypePattern::Class(class) => (CLASS, class),
                TypePattern::Exact(exact) if covered(exact) => continue,
                TypePattern::Exact(exact) => (EXACT, exact),
            };
            if seen.insert(pattern) {
                let number = interns.texts.acquire(text);
                self.texts.push(number);
                types.push((field, number));
            }
        }
        types
    }

    fn uuid(&mut self, id: &uuid::Uuid, interns: &mut Interns) -> u32 {
        let number = interns.uuids.acquire(id);
        self.uuids.push(number);
        number
    }
}

impl Needs {
    fn add(&mut self, shape: u8) {
        self.project |= shape & PROJECT != 0;
        self.workflow |= shape & WORKFLOW != 0;
        self.class |= shape & CLASS != 0;
        self.error_type |= shape & EXACT != 0;
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::{
        compiled::Compiled,
        tests::support::{any_event, any_rule},
    };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        /// The index finds exactly the rules that match by definition, each once.
        #[test]
        fn agrees_with_the_definition(
            rules in prop::collection::vec(any_rule(), 0..40),
            events in prop::collection::vec(any_event(), 1..30),
        ) {
            let mut interns = Interns::default();
            let compiled: Vec<Compiled> = rules.into_iter().map(Compiled::new).collect();
            let slots = (0_u32..).zip(compiled.iter().map(|compiled| &compiled.rule));
            let mut index = Index::build(slots, Subject::Events, &mut interns);
            for event in &events {
                let atoms = interns.atoms(event, index.needs());
                let mut found = Vec::new();
                index.matching(&atoms, |entry| found.push(entry));
                let mut lowered = None;
                found.retain(|entry| {
                    !entry.check || compiled[entry.slot as usize].accepts(event, &mut lowered)
                });
                let mut found: Vec<u32> = found.iter().map(|entry| entry.slot).collect();
                found.sort_unstable();
                let expected: Vec<u32> =
                    (0_u32..).zip(&compiled).filter(|(_, c)| c.rule.matches(event)).map(|(i, _)| i)
                        .collect();
                prop_assert_eq!(found, expected);
            }
            index.release(&mut interns);
            prop_assert_eq!((interns.uuids.len(), interns.texts.len()), (0, 0));
        }
    }

    #[test]
    fn a_rule_has_a_bounded_number_of_entries() {
        let mut rule = crate::engine::tests::support::rule(1);
        rule.filter.workflow_ids = (0..100).map(uuid::Uuid::from_u128).collect();
        rule.filter.severities = crate::model::Severity::ALL.to_vec();
        rule.filter.sources = crate::model::Source::ALL.to_vec();
        let index =
            Index::build([(0, &rule)].into_iter(), Subject::Events, &mut Interns::default());
        let entries: Vec<_> = index.shapes.iter().flat_map(|shape| shape.rules.values()).collect();
        assert_eq!(entries.len(), 9, "the workflows are left to the filter");
        assert!(entries.iter().all(|found| matches!(found, Found::One(Entry { check: true, .. }))));
    }
}
