//! Sends batches, and finds the one bad event that would keep the others from being stored.

use std::{collections::HashMap, time::Duration};

use uuid::Uuid;

use crate::{
    event::Sealed,
    transport::{Answer, Transport, Verdict},
};

/// A batch in which so many parts in a row are refused is not looked at further: it is not one event.
const MAX_REFUSALS_IN_A_ROW: u32 = 16;
/// So many internal errors in a row, and one event of the batch is suspected to cause them.
const SUSPICIOUS_FAULTS: u32 = 5;
/// So many suspects are remembered; beyond, they have to be found again.
const MAX_SUSPECTS: usize = 4096;

pub(crate) struct Delivery {
    /// How many were stored.
    pub(crate) delivered: usize,
    /// Each alone at fault, never to be sent again.
    pub(crate) refused: Vec<(Sealed, Answer)>,
    /// To be sent again later.
    pub(crate) held: Vec<Sealed>,
    /// Whether everything is held because it, or the reporter's rights, are suspected: other events
    /// may be stored, and would tell which of the two it is.
    pub(crate) suspected: bool,
    /// The last answer.
    pub(crate) answer: Answer,
}

pub(crate) struct Deliverer {
    transport: Transport,
    timeout: Duration,
    faults_in_a_row: u32,
    /// Whether this reporter's rights are known to be sound, by something having been stored.
    proven: bool,
    /// How often something was stored.
    stored: u64,
    /// What was refused alone, by id, with `stored` of then.
    suspects: HashMap<Uuid, u64>,
}

impl Deliverer {
    pub(crate) fn new(transport: Transport, timeout: Duration) -> Self {
        let suspects = HashMap::new();
        Self { transport, timeout, faults_in_a_row: 0, proven: false, stored: 0, suspects }
    }

    /// `batch` is not empty.
    pub(crate) async fn deliver(&mut self, batch: Vec<Sealed>) -> Delivery {
        let answer = self.send(&batch).await;
        let known = || batch.iter().all(|event| self.suspects.contains_key(&event.id));
        let suspicious = answer.verdict == Verdict::Suspect
            || (answer.status == 500 && (self.faults_in_a_row >= SUSPICIOUS_FAULTS || known()));
        let mut delivery = Delivery {
            delivered: 0,
            refused: Vec::new(),
            held: Vec::new(),
            suspected: false,
            answer: answer.clone(),
        };
        match answer.verdict {
            Verdict::Delivered => delivery.delivered = batch.len(),
            Verdict::Refused => self.isolate(batch, answer, suspicious, &mut delivery).await,
            _ if suspicious => self.isolate(batch, answer, suspicious, &mut delivery).await,
            _ => delivery.held = batch,
        }
        delivery
    }

    async fn send(&mut self, batch: &[Sealed]) -> Answer {
        let answer = self.transport.send(batch, self.timeout).await;
        if answer.verdict == Verdict::Delivered {
            self.proven = true;
            self.faults_in_a_row = 0;
            self.stored += 1;
            if !self.suspects.is_empty() {
                for event in batch {
                    self.suspects.remove(&event.id);
                }
            }
        } else if answer.status == 401 {
            self.proven = false;
        } else if answer.status == 500 {
            self.faults_in_a_row += 1;
        }
        answer
    }

    /// Halves the batch until what is refused stands alone.
    async fn isolate(
        &mut self,
        batch: Vec<Sealed>,
        first: Answer,
        suspicious: bool,
        result: &mut Delivery,
    ) {
        let alone = batch.len() == 1;
        let mut suspects = Vec::new();
        let mut refusals = 0;
        let mut known = Some(first.clone());
        let mut parts = vec![batch];
        // Until something else than the events is found to be at fault.
        result.suspected = true;
        while let Some(mut part) = parts.pop() {
            let answer = match known.take() {
                Some(answer) => answer,
                None => self.send(&part).await,
            };
            result.answer = answer.clone();
            let suspect =
                answer.verdict == Verdict::Suspect || (suspicious && answer.status == 500);
            if answer.verdict == Verdict::Delivered {
                result.delivered += part.len();
                refusals = 0;
            } else if answer.verdict != Verdict::Refused && !suspect {
                result.held.extend(part);
                result.held.extend(parts.into_iter().flatten());
                result.suspected = false;
                break;
            } else if part.len() > 1 {
                refusals += u32::from(suspect);
                // A rule that the row itself breaks is certain; everything else may be the same for all.
                if refusals > MAX_REFUSALS_IN_A_ROW {
                    result.held.extend(part);
                } else {
                    let second = part.split_off(part.len() / 2);
                    parts.push(second);
                    parts.push(part);
                }
            } else if suspect {
                suspects.extend(part);
            } else {
                result.refused.extend(part.into_iter().map(|event| (event, answer.clone())));
            }
        }
        self.judge(suspects, alone, &first, result).await;
        result.suspected &= !result.held.is_empty();
        for (event, _) in &result.refused {
            self.suspects.remove(&event.id);
        }
    }

    /// What only seems to be at fault is given up where it is refused once more after others were
    /// stored, so that rights which come back in the middle cost nothing.
    async fn judge(
        &mut self,
        suspects: Vec<Sealed>,
        alone: bool,
        first: &Answer,
        result: &mut Delivery,
    ) {
        if alone && first.verdict == Verdict::Suspect && self.proven {
            // Something was stored before; but only once, since rights can also be taken away.
            self.proven = false;
            result.refused.extend(suspects.into_iter().map(|event| (event, first.clone())));
            return;
        }
        let stored_others = result.delivered > 0;
        for event in suspects {
            if !stored_others {
                let stored_since =
                    self.suspects.get(&event.id).is_some_and(|stored| *stored < self.stored);
                if stored_since {
                    result.refused.push((event, first.clone()));
                } else {
                    self.suspect(event.id);
                    result.held.push(event);
                }
                continue;
            }
            let answer = self.send(std::slice::from_ref(&event)).await;
            let again = answer.verdict == first.verdict && answer.status == first.status;
            if answer.verdict == Verdict::Delivered {
                result.delivered += 1;
            } else if again || answer.verdict == Verdict::Refused {
                result.refused.push((event, answer));
            } else {
                result.held.push(event);
                result.suspected = false;
            }
        }
    }

    fn suspect(&mut self, id: Uuid) {
        if self.suspects.len() >= MAX_SUSPECTS {
            self.suspects.clear();
        }
        self.suspects.entry(id).or_insert(self.stored);
    }
}
