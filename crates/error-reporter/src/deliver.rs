//! Sends batches, and finds the one bad event that would keep the others from being stored.

use std::time::Duration;

use crate::{
    event::Sealed,
    transport::{Answer, Transport, Verdict},
};

/// A batch in which so many parts in a row are refused is not looked at further: it is not one event.
const MAX_REFUSALS_IN_A_ROW: u32 = 16;
/// So many internal errors in a row, and one event of the batch is suspected to cause them.
const SUSPICIOUS_FAULTS: u32 = 5;

pub(crate) struct Delivery {
    /// How many were stored.
    pub(crate) delivered: usize,
    /// Each alone at fault, never to be sent again.
    pub(crate) refused: Vec<(Sealed, Answer)>,
    /// To be sent again later.
    pub(crate) held: Vec<Sealed>,
    /// The last answer.
    pub(crate) answer: Answer,
}

pub(crate) struct Deliverer {
    transport: Transport,
    timeout: Duration,
    faults_in_a_row: u32,
    /// Whether this reporter's rights are known to be sound, by something having been stored.
    proven: bool,
}

impl Deliverer {
    pub(crate) fn new(transport: Transport, timeout: Duration) -> Self {
        Self { transport, timeout, faults_in_a_row: 0, proven: false }
    }

    /// `batch` is not empty.
    pub(crate) async fn deliver(&mut self, batch: Vec<Sealed>) -> Delivery {
        let answer = self.send(&batch).await;
        let suspicious = answer.verdict == Verdict::Suspect
            || (answer.status == 500 && self.faults_in_a_row >= SUSPICIOUS_FAULTS);
        let all = batch.len();
        match answer.verdict {
            Verdict::Delivered => {
                Delivery { delivered: all, refused: Vec::new(), held: Vec::new(), answer }
            }
            Verdict::Refused => self.isolate(batch, answer, suspicious).await,
            _ if suspicious => self.isolate(batch, answer, suspicious).await,
            _ => Delivery { delivered: 0, refused: Vec::new(), held: batch, answer },
        }
    }

    async fn send(&mut self, batch: &[Sealed]) -> Answer {
        let answer = self.transport.send(batch, self.timeout).await;
        if answer.verdict == Verdict::Delivered {
            self.proven = true;
            self.faults_in_a_row = 0;
        } else if answer.status == 401 {
            self.proven = false;
        } else if answer.status == 500 {
            self.faults_in_a_row += 1;
        }
        answer
    }

    /// Halves the batch until what is refused stands alone.
    async fn isolate(&mut self, batch: Vec<Sealed>, first: Answer, suspicious: bool) -> Delivery {
        let alone = batch.len() == 1;
        let mut result =
            Delivery { delivered: 0, refused: Vec::new(), held: Vec::new(), answer: first.clone() };
        let mut suspects = Vec::new();
        let mut refusals = 0;
        let mut known = Some(first.clone());
        let mut parts = vec![batch];
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
        self.judge(suspects, alone, &first, &mut result).await;
        result
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
        } else if result.delivered == 0 {
            result.held.extend(suspects);
        } else {
            for event in suspects {
                let answer = self.send(std::slice::from_ref(&event)).await;
                let again = answer.verdict == first.verdict && answer.status == first.status;
                if answer.verdict == Verdict::Delivered {
                    result.delivered += 1;
                } else if again || answer.verdict == Verdict::Refused {
                    result.refused.push((event, answer));
                } else {
                    result.held.push(event);
                }
            }
        }
    }
}
