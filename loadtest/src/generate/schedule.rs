//! When each client of a group is wanted.

use crate::plan::{Group, Plan, StageKind};

/// A moment at which a client is wanted, or is no longer; ns from the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// When.
    pub at_ns: u64,
    /// From then on.
    pub wanted: bool,
}

/// The turns of client `number` of `group`, in order of time: it is wanted while the level is above its place in the
/// group, so that half a level is half of the clients, and only in stages that the group is part of.
#[must_use]
pub fn turns(plan: &Plan, group: &Group, number: u32) -> Vec<Turn> {
    let place = f64::from(number) / f64::from(group.clients);
    let mut out: Vec<Turn> = Vec::new();
    let set = |out: &mut Vec<Turn>, at_ns: u64, wanted: bool| {
        if out.last().map_or(wanted, |last| last.wanted != wanted) {
            out.push(Turn { at_ns: at_ns.max(group.start_ns), wanted });
        }
    };
    let (mut start, mut from) = (0, 0.0);
    for (index, stage) in plan.stages.iter().enumerate() {
        let after = stage.level_after(from);
        let here = group.stages.as_ref().is_none_or(|stages| stages.contains(&index));
        match stage.kind {
            _ if !here => {
                out.retain(|turn| turn.at_ns < start);
                if out.last().is_some_and(|last| last.wanted) {
                    out.push(Turn { at_ns: start.max(group.start_ns), wanted: false });
                }
            }
            StageKind::Ramp => {
                // Rising, a client comes when the level passes its place, and the last one before the end.
                let part = if stage.to == from { 0.0 } else { ((place - from) / (stage.to - from)).clamp(0.0, 1.0) };
                let crossing = start + (stage.duration_ns as f64 * part) as u64;
                set(&mut out, if (from > place) == (stage.to > place) { start } else { crossing }, stage.to > place);
            }
            StageKind::Hold | StageKind::Soak => set(&mut out, start, from > place),
            StageKind::Spike => {
                set(&mut out, start, stage.to > place);
                set(&mut out, start + stage.duration_ns, after > place);
            }
        }
        start += stage.duration_ns;
        from = after;
    }
    // A group that begins late may find that its first turns are over.
    let late = out.iter().filter(|turn| turn.at_ns <= group.start_ns).count();
    out.drain(..late.saturating_sub(1));
    out.retain(|turn| turn.at_ns < start);
    if out.first().is_some_and(|turn| !turn.wanted) {
        out.remove(0);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SECOND_NS;
    use crate::plan::Stage;

    fn plan(stages: &[(StageKind, u64, f64)]) -> Plan {
        let stages = stages.iter().map(|(kind, seconds, to)| Stage {
            name: String::new(),
            kind: *kind,
            duration_ns: seconds * SECOND_NS,
            to: *to,
            measured: true,
        });
        Plan { stages: stages.collect(), ..crate::collect::tests::plan(0, 1, 1) }
    }

    fn group(clients: u32, start_ns: u64) -> Group {
        Group { clients, start_ns, ..crate::generate::tests::group("tcp://127.0.0.1:1") }
    }

    #[test]
    fn a_group_is_there_only_in_its_stages() {
        use StageKind::{Hold, Ramp, Spike};
        let plan =
            plan(&[(Ramp, 2, 1.0), (Hold, 3, 1.0), (Hold, 4, 1.0), (Spike, 2, 0.5), (Hold, 1, 1.0), (Hold, 2, 1.0)]);
        let of = |stages: &[usize], number| {
            let group = Group { stages: Some(stages.to_vec()), ..group(10, 0) };
            turns(&plan, &group, number).iter().map(|turn| (turn.at_ns / SECOND_NS, turn.wanted)).collect::<Vec<_>>()
        };
        assert_eq!(of(&[2], 0), [(5, true), (9, false)]);
        assert_eq!(of(&[2], 9), [(5, true), (9, false)], "all of them at once");
        assert_eq!(of(&[1, 2, 5], 0), [(2, true), (9, false), (12, true)]);
        assert_eq!(of(&[3], 0), [(9, true), (11, false)]);
        assert_eq!(of(&[3], 9), [], "above the level of the spike");
        assert_eq!(of(&[], 0), []);
    }

    #[test]
    fn the_number_of_clients_follows_the_level() {
        let shapes = [
            vec![(StageKind::Ramp, 4, 1.0), (StageKind::Hold, 4, 1.0), (StageKind::Ramp, 2, 0.0)],
            vec![(StageKind::Ramp, 1, 0.2), (StageKind::Spike, 2, 1.0), (StageKind::Hold, 3, 0.2)],
            vec![
                (StageKind::Spike, 2, 0.5),
                (StageKind::Ramp, 2, 0.7),
                (StageKind::Ramp, 2, 0.3),
                (StageKind::Soak, 1, 0.3),
            ],
        ];
        for stages in shapes {
            let plan = plan(&stages);
            let group = group(40, 0);
            let all: Vec<Vec<Turn>> = (0..40).map(|number| turns(&plan, &group, number)).collect();
            for ms in (0..plan.duration_ns() / 1_000_000).step_by(7) {
                let at = ms * 1_000_000 + 500_000;
                let wanted = all
                    .iter()
                    .filter(|turns| turns.iter().rfind(|turn| turn.at_ns <= at).is_some_and(|turn| turn.wanted));
                let (wanted, level) = (wanted.count() as f64, plan.level(at) * 40.0);
                assert!((wanted - level).abs() <= 1.01, "{wanted} clients at {ms} ms, level {level}");
            }
            for turns in all {
                assert!(
                    turns.windows(2).all(|pair| pair[0].at_ns <= pair[1].at_ns && pair[0].wanted != pair[1].wanted)
                );
            }
        }
    }

    #[test]
    fn a_late_group_comes_at_its_time_and_not_before() {
        let plan = plan(&[(StageKind::Ramp, 2, 1.0), (StageKind::Hold, 8, 1.0)]);
        let at = |start: u64, number| turns(&plan, &group(4, start * SECOND_NS), number);
        for number in 0..4 {
            assert_eq!(at(5, number), [Turn { at_ns: 5 * SECOND_NS, wanted: true }]);
        }
        assert_eq!(at(1, 3), [Turn { at_ns: 1_500_000_000, wanted: true }]);
        assert_eq!(at(11, 0), []);
    }
}
