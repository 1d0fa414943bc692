//! What is remembered between decisions: who was told of which incident, and who is owed a message.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use super::{
    Case, Policy,
    decide::{Settled, Telling, settle, tell},
    hold::{Hold, until},
    inhibition::Firing,
};
use crate::model::{GroupKey, IncidentState, Level, Timestamp, Transition, TransitionKind};

/// One incident as the desk knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its rule.
    pub rule_id: Uuid,
    /// The rule's project, or the group's where the rule watches all.
    pub project_id: Option<Uuid>,
    /// Its group.
    pub group_key: GroupKey,
    /// Its level now.
    pub level: Level,
    /// Whether it fires now.
    pub firing: bool,
    /// Channels that were told of it.
    pub told: BTreeSet<Uuid>,
    /// Channels that are to be told when nothing holds that back any more.
    pub owed: BTreeMap<Uuid, Owed>,
}

/// A message that was held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// What the channel would have been told: firing, or escalated where it knew of the incident.
    pub kind: TransitionKind,
    /// When it is worth another look; none where only a change of other things helps.
    pub until: Option<Timestamp>,
    /// What holds it back; empty where it waits for a level, and before anybody has looked.
    pub holds: Vec<Hold>,
}

/// A transition and where it belongs.
#[derive(Clone, Copy, Debug)]
pub struct News<'a> {
    /// What the engine decided.
    pub transition: &'a Transition,
    /// The rule's project, or the group's where the rule watches all.
    pub project_id: Option<Uuid>,
}

/// A message that was owed and is told now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Late {
    /// The incident.
    pub incident_id: Uuid,
    /// Who is told.
    pub channel_id: Uuid,
    /// What: firing or escalated.
    pub kind: TransitionKind,
}

/// Who knows what. The live path loads it from the database for each transaction; a back-test keeps
/// one from beginning to end.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    incidents: HashMap<Uuid, Standing>,
    /// Incidents that fire, by rule.
    firing: HashMap<Uuid, BTreeSet<Uuid>>,
}

impl Desk {
    /// Learns of an incident that is known from before.
    pub fn learn(&mut self, incident_id: Uuid, standing: Standing) {
        if standing.firing {
            self.firing.entry(standing.rule_id).or_default().insert(incident_id);
        }
        self.incidents.insert(incident_id, standing);
    }

    /// What is known of an incident.
    #[must_use]
    pub fn standing(&self, incident_id: Uuid) -> Option<&Standing> {
        self.incidents.get(&incident_id)
    }

    /// Every incident that is known.
    pub fn standings(&self) -> impl Iterator<Item = (Uuid, &Standing)> {
        self.incidents.iter().map(|(id, standing)| (*id, standing))
    }

    /// When something that is held back is worth another look, as far as time decides.
    #[must_use]
    pub fn next_look(&self) -> Option<Timestamp> {
        let owed = self.incidents.values().flat_map(|standing| standing.owed.values());
        owed.filter_map(|owed| owed.until).min()
    }

    /// Decides about transitions that are told together, in their order; one [`Telling`] for each.
    ///
    /// What fires among them keeps quiet what it inhibits even if that comes first: the order of
    /// different incidents at one instant means nothing.
    pub fn take(&mut self, policy: &Policy, news: &[News<'_>], now: Timestamp) -> Vec<Telling> {
        for News { transition, project_id } in news {
            if transition.kind == TransitionKind::Firing {
                self.note(transition, *project_id);
            }
        }
        news.iter().map(|news| self.decide(policy, *news, now)).collect()
    }

    fn decide(&mut self, policy: &Policy, news: News<'_>, now: Timestamp) -> Telling {
        let News { transition, project_id } = news;
        let id = transition.incident_id;
        self.note(transition, project_id);
        let knows = self.incidents.get(&id).map(|standing| standing.told.clone());
        let case = Case {
            incident_id: id,
            rule_id: transition.rule_id,
            project_id,
            group_key: &transition.group_key,
            level: transition.level,
        };
        let knows = knows.unwrap_or_default();
        let telling =
            tell(policy, &case, transition.kind, &knows, self.sources(policy, case.rule_id), now);
        if matches!(transition.state, IncidentState::Resolved) {
            self.forget(id);
        } else if let Some(standing) = self.incidents.get_mut(&id) {
            standing.remember(&telling);
        }
        telling
    }

    /// Decides about what is owed; returns who is told now, incident by incident. What still waits is
    /// looked at again.
    pub fn settle(&mut self, policy: &Policy, now: Timestamp) -> Vec<Late> {
        let mut ids: Vec<Uuid> = self.incidents.iter().filter_map(owes).collect();
        ids.sort_unstable();
        let mut late = Vec::new();
        for incident_id in ids {
            let Some(standing) = self.incidents.get(&incident_id) else { continue };
            let case = standing.case(incident_id);
            let mut owed = standing.owed.clone();
            let earlier = late.len();
            owed.retain(|channel_id, owed| {
                let sources = self.sources(policy, case.rule_id);
                match settle(policy, &case, (*channel_id, owed.kind), sources, now) {
                    Settled::Told => {
                        let (channel_id, kind) = (*channel_id, owed.kind);
                        late.push(Late { incident_id, channel_id, kind });
                        false
                    }
                    Settled::Waits(holds) => {
                        (owed.until, owed.holds) = (until(&holds), holds);
                        true
                    }
                    Settled::Forgotten => false,
                }
            });
            if let Some(standing) = self.incidents.get_mut(&incident_id) {
                standing.owed = owed;
                let told = late.iter().skip(earlier);
                standing.told.extend(told.map(|late| late.channel_id));
            }
        }
        late
    }

    /// What fires among the rules that keep `target` quiet.
    fn sources<'a>(&'a self, policy: &'a Policy, target: Uuid) -> impl Iterator<Item = Firing<'a>> {
        let rules: BTreeSet<Uuid> = policy
            .inhibitions
            .iter()
            .filter(|inhibition| inhibition.target_rule_id == target)
            .map(|inhibition| inhibition.source_rule_id)
            .collect();
        let incidents = rules.into_iter().filter_map(|rule| self.firing.get(&rule)).flatten();
        incidents.filter_map(|id| {
            let Standing { rule_id, project_id, ref group_key, level, .. } =
                *self.incidents.get(id)?;
            Some(Firing { incident_id: *id, rule_id, project_id, group_key, level })
        })
    }

    fn note(&mut self, transition: &Transition, project_id: Option<Uuid>) {
        let firing = transition.state == IncidentState::Firing;
        let standing = self.incidents.entry(transition.incident_id).or_insert_with(|| Standing {
            rule_id: transition.rule_id,
            project_id,
            group_key: transition.group_key.clone(),
            level: transition.level,
            firing,
            told: BTreeSet::new(),
            owed: BTreeMap::new(),
        });
        (standing.level, standing.firing) = (transition.level, firing);
        let of_rule = self.firing.entry(transition.rule_id).or_default();
        if firing {
            of_rule.insert(transition.incident_id);
        } else {
            of_rule.remove(&transition.incident_id);
        }
    }

    fn forget(&mut self, incident_id: Uuid) {
        if let Some(standing) = self.incidents.remove(&incident_id)
            && let Some(of_rule) = self.firing.get_mut(&standing.rule_id)
        {
            of_rule.remove(&incident_id);
        }
    }
}

fn owes((id, standing): (&Uuid, &Standing)) -> Option<Uuid> {
    (standing.firing && !standing.owed.is_empty()).then_some(*id)
}

impl Standing {
    /// The incident as a decision sees it.
    #[must_use]
    pub fn case(&self, incident_id: Uuid) -> Case<'_> {
        let Self { rule_id, project_id, ref group_key, level, .. } = *self;
        Case { incident_id, rule_id, project_id, group_key, level }
    }

    fn remember(&mut self, Telling { told, held, holds }: &Telling) {
        for channel in told {
            // Whoever is told of the present is owed nothing of the past.
            self.owed.remove(channel);
            self.told.insert(*channel);
        }
        for held in held {
            if let Some(kind) = held.owed {
                let owed = Owed { kind, until: until(holds), holds: holds.clone() };
                self.owed.insert(held.channel_id, owed);
            }
        }
    }
}
