//! Finds the rules that count an event without looking at the others.
//!
//! A rule's *shape* is the set of fields it fixes (project, workflow, source, error type by class or
//! exactly, severity). Rules are first told apart by their project, through a table; those of one project,
//! and those of none, are a short list to compare with or, where there are many, one hash map for each
//! shape in use, from the values of the fixed fields to the rules that ask for them. So an event costs
//! one look-up per shape, however many rules there are. A rule that lists several values has one entry
//! per combination; where that would be too many, the longest list is left out of the shape and checked
//! by the filter instead, as a text in the message always is.

use std::collections::HashSet;

use rustc_hash::FxHashMap;

use super::intern::{Atoms, Interns, NULL, Needs};
use crate::model::{Rule, TypePattern};

/// The most entries one rule may have; 3 sources × 3 severities × 7 types still fit.
const MAX_COMBINATIONS: usize = 64;

const WORKFLOW: u8 = 1;
const CLASS: u8 = 2;
const EXACT: u8 = 4;
const SOURCE: u8 = 8;
const SEVERITY: u8 = 16;

/// Up to so many entries a project's rules are a list; longer ones are hashed.
const LIST: usize = 16;

/// Values of the fixed fields: workflow, class or exact type, source and severity.
type Values = [u32; 3];

/// A rule that an event's fixed fields lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The rule's slot.
    pub slot: u32,
    /// Whether the rule's remaining filter must still accept the event.
    pub check: bool,
}

/// One combination of fixed values of one rule.
#[derive(Clone, Copy, Debug)]
struct Combination {
    project: u32,
    values: Values,
    fields: u8,
    entry: Entry,
}

/// The index over one set of rules; rebuilt when the set changes.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// By the number of the project; [`NULL`] for the rules without one.
    projects: Vec<Node>,
    /// All entries, those of one node together.
    entries: Vec<Combination>,
    hashed: Vec<Vec<Shape>>,
    uuids: Vec<u32>,
    texts: Vec<u32>,
    needs: Needs,
}

/// The rules of one project.
#[derive(Clone, Copy, Debug)]
enum Node {
    /// Where they stand in `entries`.
    List(u32, u32),
    /// Which one of `hashed`.
    Hashed(u32),
}

#[derive(Debug)]
struct Shape {
    fields: u8,
    /// Where in `entries` the rules for these values stand.
    rules: FxHashMap<Values, (u32, u32)>,
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
        let mut all = Vec::new();
        for (slot, rule) in rules {
            index.combinations(slot, rule, subject, interns, &mut all);
        }
        // The sort is stable: entries of the same values stay in the order of the rules.
        all.sort_by_key(|one: &Combination| (one.project, one.fields, one.values));
        index.entries = all;
        let mut start = 0;
        for rules in index.entries.chunk_by(|a, b| a.project == b.project) {
            let node = if rules.len() <= LIST {
                Node::List(count(start), count(start + rules.len()))
            } else {
                index.hashed.push(shapes(rules, start));
                Node::Hashed(count(index.hashed.len() - 1))
            };
            let project = rules.first().map_or(0, |one| one.project) as usize;
            if index.projects.len() <= project {
                index.projects.resize(project + 1, Node::List(0, 0));
            }
            if let Some(place) = index.projects.get_mut(project) {
                *place = node;
            }
            start += rules.len();
        }
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
        self.matching_in(NULL, atoms, &mut found);
        if atoms.project != NULL {
            self.matching_in(atoms.project, atoms, &mut found);
        }
    }

    #[inline]
    fn matching_in(&self, project: u32, atoms: &Atoms, found: &mut impl FnMut(Entry)) {
        match self.projects.get(project as usize) {
            None => {}
            Some(Node::List(start, end)) => {
                for one in self.range(*start, *end) {
                    if one.values == pick(one.fields, atoms) {
                        found(one.entry);
                    }
                }
            }
            Some(Node::Hashed(place)) => {
                for shape in self.hashed.get(*place as usize).into_iter().flatten() {
                    if let Some((start, end)) = shape.rules.get(&pick(shape.fields, atoms)) {
                        self.range(*start, *end).iter().for_each(|one| found(one.entry));
                    }
                }
            }
        }
    }

    fn range(&self, start: u32, end: u32) -> &[Combination] {
        self.entries.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Adds all entries of one rule.
    fn combinations(
        &mut self,
        slot: u32,
        rule: &Rule,
        subject: Subject,
        interns: &mut Interns,
        out: &mut Vec<Combination>,
    ) {
        let filter = &rule.filter;
        let project = rule.project_id.map_or(NULL, |id| self.uuid(&id, interns));
        self.needs.project |= project != NULL;
        let mut lists: [Vec<(u8, u32)>; 4] = Default::default();
        let [workflows, types, sources, severities] = &mut lists;
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
        let entry = Entry { slot, check };
        let [workflows, types, sources, severities] = &lists;
        for workflow in workflows {
            for text in types {
                for source in sources {
                    for severity in severities {
                        let fields = workflow.0 | text.0 | source.0 | severity.0;
                        let values = [workflow.1, text.1, source.1 | severity.1];
                        out.push(Combination { project, values, fields, entry });
                        self.needs.add(fields);
                    }
                }
            }
        }
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
    fn add(&mut self, fields: u8) {
        self.workflow |= fields & WORKFLOW != 0;
        self.class |= fields & CLASS != 0;
        self.error_type |= fields & EXACT != 0;
    }
}

/// The values that an event has in `fields`; a value that no rule names equals none that one does.
#[inline]
fn pick(fields: u8, atoms: &Atoms) -> Values {
    let mask = |field: u8| if fields & field == 0 { 0 } else { u32::MAX };
    let text = atoms.class & mask(CLASS) | atoms.error_type & mask(EXACT);
    let kind = atoms.kind & (mask(SOURCE) & 0xff00 | mask(SEVERITY) & 0x00ff);
    [atoms.workflow & mask(WORKFLOW), text, kind]
}

/// One hash map per shape over the sorted entries of one node, which begin at `start`.
fn shapes(rules: &[Combination], mut start: usize) -> Vec<Shape> {
    let mut shapes: Vec<Shape> = Vec::new();
    for same in rules.chunk_by(|a, b| a.fields == b.fields) {
        let mut found = FxHashMap::default();
        for one in same.chunk_by(|a, b| a.values == b.values) {
            let range = (count(start), count(start + one.len()));
            found.extend(one.first().map(|one| (one.values, range)));
            start += one.len();
        }
        let fields = same.first().map_or(0, |one| one.fields);
        shapes.push(Shape { fields, rules: found });
    }
    shapes
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
        assert_eq!(index.entries.len(), 9, "the workflows are left to the filter");
        assert!(index.entries.iter().all(|one| one.entry.check));
    }
}
