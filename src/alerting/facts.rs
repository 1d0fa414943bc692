//! Turns a transition into the facts of a message: names instead of ids, titles, a link.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use url::Url;
use uuid::Uuid;

use crate::{
    model::{GroupField, Rule, Timestamp, Transition, TransitionKind},
    notify::{IncidentFacts, NotificationFacts, ProjectFacts, RuleFacts},
    store::{
        Db, StoreError,
        incidents::{self, Decision, Opened},
    },
};

/// How long a look-up of names may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// More names than this are not remembered; a hostile group-by must not fill the memory.
const MAX_NAMES: usize = 10_000;

/// Names of projects and workflows that were asked for before.
#[derive(Debug, Default)]
pub struct Names(HashMap<Uuid, Option<String>>);

impl Names {
    /// Looks up those of `ids` that are not known yet.
    async fn learn(&mut self, db: &Db, ids: HashSet<Uuid>) -> Result<(), StoreError> {
        let missing: Vec<Uuid> = ids.into_iter().filter(|id| !self.0.contains_key(id)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        if self.0.len() + missing.len() > MAX_NAMES {
            self.0.clear();
        }
        let mut found = incidents::display_names(db, &missing, TIME_LIMIT).await?;
        self.0.extend(missing.into_iter().map(|id| (id, found.remove(&id))));
        Ok(())
    }

    fn of(&self, id: &str) -> Option<String> {
        self.0.get(&id.parse::<Uuid>().ok()?).cloned().flatten()
    }
}

/// Knows what a message needs beside the transition itself.
#[derive(Debug)]
pub struct Narrator {
    dashboard: Option<Url>,
    names: Names,
    rules: HashMap<Uuid, (RuleFacts, Option<Uuid>)>,
    /// Since when open incidents fire, and of which rule they are.
    fired_at: HashMap<Uuid, (Timestamp, Uuid)>,
    /// Rules of open incidents as people were told of them, for those that are gone or disabled.
    told: HashMap<Uuid, RuleFacts>,
}

impl Narrator {
    /// A narrator whose links lead to `dashboard`.
    #[must_use]
    pub fn new(dashboard: Option<Url>) -> Self {
        Self {
            dashboard,
            names: Names::default(),
            rules: HashMap::new(),
            fired_at: HashMap::new(),
            told: HashMap::new(),
        }
    }

    /// Learns the rules; those that went away are kept while they have open incidents, which still resolve.
    pub fn learn_rules(&mut self, rules: &[Rule], descriptions: &HashMap<Uuid, String>) {
        let kept: HashSet<Uuid> = self.fired_at.values().map(|(_, rule)| *rule).collect();
        self.rules.retain(|rule, _| kept.contains(rule));
        for rule in rules {
            let description = descriptions.get(&rule.id).map_or("", String::as_str);
            self.rules.insert(rule.id, (RuleFacts::of(rule, description), rule.project_id));
        }
    }

    /// Learns of the incidents that are open already: since when they fire, and of which rule.
    pub fn learn_open(&mut self, incidents: Vec<Opened>) {
        for Opened { incident, told_rule } in incidents {
            let id = incident.incident_id;
            if let Some(fired_at) = incident.fired_at {
                self.fired_at.insert(id, (fired_at, incident.rule_id));
            }
            if let Some(rule) = told_rule.and_then(|rule| serde_json::from_value(rule).ok()) {
                self.told.insert(id, rule);
            }
        }
    }

    /// What to write for each transition, in the same order.
    ///
    /// # Errors
    /// Whatever the database answers to the look-up of names and titles.
    pub async fn decisions(
        &mut self,
        db: &Db,
        transitions: &[Transition],
    ) -> Result<Vec<Decision>, StoreError> {
        let ids = transitions.iter().flat_map(|transition| self.ids_of(transition)).collect();
        self.names.learn(db, ids).await?;
        let samples: Vec<Uuid> = transitions
            .iter()
            .filter(|transition| is_told(transition.kind))
            .flat_map(|transition| transition.evidence.top_groups.iter().map(|group| group.sample))
            .collect();
        let titles = if samples.is_empty() {
            HashMap::new()
        } else {
            incidents::sample_messages(db, &samples, TIME_LIMIT).await?
        };
        Ok(transitions.iter().map(|transition| self.decision(transition, &titles)).collect())
    }

    fn ids_of(&self, transition: &Transition) -> Vec<Uuid> {
        let fields = [GroupField::Project, GroupField::Workflow];
        let group = fields.into_iter().filter_map(|field| transition.group_key.get(field));
        let project = self.rules.get(&transition.rule_id).and_then(|(_, project)| *project);
        group.filter_map(|id| id.parse().ok()).chain(project).collect()
    }

    fn decision(&mut self, transition: &Transition, titles: &HashMap<Uuid, String>) -> Decision {
        let mut transition = transition.clone();
        for group in &mut transition.evidence.top_groups {
            group.title = titles.get(&group.sample).cloned();
        }
        let fired_at = self.note_fired(&transition);
        let (rule, rule_project) = self.rules.get(&transition.rule_id).cloned().unzip();
        let told = self.told.get(&transition.incident_id).cloned();
        if transition.kind == TransitionKind::Resolved {
            self.told.remove(&transition.incident_id);
        }
        let rule = rule.or(told);
        let group_project =
            transition.group_key.get(GroupField::Project).and_then(|id| id.parse().ok());
        let project_id = rule_project.flatten().or(group_project);
        let rule_name = rule.as_ref().map_or_else(String::new, |rule| rule.name.clone());
        let facts = rule
            .and_then(|rule| {
                let project =
                    project_id.map(|id| ProjectFacts { id, name: self.names.of(&id.to_string()) });
                let names = &self.names;
                let incident =
                    IncidentFacts::of(&transition, rule, project, fired_at, |_, value| {
                        names.of(value)
                    });
                let dashboard =
                    self.dashboard.as_ref().map(|url| url.as_str().trim_end_matches('/'));
                NotificationFacts::of(transition.kind, transition.at, incident, dashboard)
            })
            .and_then(|facts| serde_json::to_value(facts).ok())
            .unwrap_or_default();
        Decision { transition, rule_name, project_id, facts }
    }

    /// Remembers when an incident began to fire, for as long as it is open.
    fn note_fired(&mut self, transition: &Transition) -> Option<Timestamp> {
        match transition.kind {
            TransitionKind::Firing => {
                let fired = (transition.at, transition.rule_id);
                self.fired_at.insert(transition.incident_id, fired);
                Some(transition.at)
            }
            TransitionKind::Resolved | TransitionKind::Dropped => {
                self.fired_at.remove(&transition.incident_id).map(|(at, _)| at)
            }
            _ => self.fired_at.get(&transition.incident_id).map(|(at, _)| *at),
        }
    }
}

/// Whether people are told of this kind, so that titles are worth a look-up.
const fn is_told(kind: TransitionKind) -> bool {
    matches!(
        kind,
        TransitionKind::Firing
            | TransitionKind::Escalated
            | TransitionKind::Reminder
            | TransitionKind::Flapping
            | TransitionKind::Resolved
    )
}
