//! Goal: what a device hands out for the wire makes the bytes that the processor's own work makes of the same step.
//! Method: two chains over each step, one from what the device dealt, one from its records alone; random graphs, drags and rests.

use proptest::prelude::*;

use super::*;
use crate::handoff::{ChainPart, ChainWriter, ClassRef, Stamp, Transport};
use crate::sim::dealer::{Dealer, Gathered, bounds};
use crate::wire::{ClassSpec, Detail, Profile};

const CLASS: ClassRef = ClassRef { slot: 1, serial: 9 };

fn chain(nodes: usize, flat: bool, bits: u8) -> ChainWriter {
    let spec = ClassSpec { detail: Detail { bits, flat }, ..ClassSpec::new(Profile::Compact, 60) };
    ChainWriter::new(CLASS, spec, nodes).unwrap()
}

/// Every byte of what a tick added to a chain.
fn bytes(part: Option<ChainPart>) -> Vec<Vec<u8>> {
    let Some(part) = part else { return Vec::new() };
    let messages = [Some(part.info), part.delta, part.snapshot, part.mark];
    let columns = part.columns.iter().cloned();
    let whole = |(head, body): (&[u8], &[u8])| [head, body].concat();
    messages.into_iter().flatten().chain(columns).map(|message| whole(message.pieces(Transport::Tcp))).collect()
}

fn encode(chain: &mut ChainWriter, nodes: &Gathered<'_>, words: &[u32], tick: u64) -> Vec<Vec<u8>> {
    let stamp = Stamp { epoch: 1, tick, tick_ns: 1_000_000_000 + tick * 16_666_667, ..Stamp::default() };
    assert!(chain.encode(&nodes.input(words, None), &stamp));
    bytes(chain.publish(stamp.tick_ns))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn the_bytes_are_those_of_the_processor(
        nodes in prop_oneof![Just(1_u32), Just(32), Just(1_025), 2_u32..1_400],
        shape in 0_usize..5,
        plane: bool,
        flat: bool,
        bits in 10_u8..17,
        drags in proptest::collection::vec((0_u32..1_400, proptest::array::uniform3(-9e3_f32..9e3)), 6),
    ) {
        let dimensions = if plane { Dimensions::Two } else { Dimensions::Three };
        let topology = topology(SHAPES[shape], nodes, dimensions);
        let (mut backend, strings) = cuda(SimParams { dimensions, ..SimParams::default() }, &topology, false, false);
        let words: Vec<u32> = (0..nodes).collect();
        let (mut dealt_chain, mut own_chain) = (chain(nodes as usize, flat, bits), chain(nodes as usize, flat, bits));
        let (mut dealer, mut own_dealer) = (Dealer::default(), Dealer::default());
        let none = CpuBackend::new(SimParams::default());
        let mut dealt = 0;
        for tick in 0..9 {
            // One drag in the middle, and one a tick at the end.
            if tick == 3 || tick > 5 {
                let (node, to) = drags[tick as usize % drags.len()];
                backend.hold(NodeIndex(node % nodes), to);
            }
            backend.step();
            let records = records(&backend, nodes as usize);
            if let Some(order) = dealer.order().map(Arc::clone)
                && let Some(found) = backend.dealt(order.version())
            {
                dealt += 1;
                let wanted: Vec<[f32; 3]> = order.nodes().iter().map(|node| records[*node as usize].position()).collect();
                prop_assert_eq!(found.points, wanted.as_slice());
                prop_assert_eq!(found.bounds.map(|corner| corner.map(f32::to_bits)), bounds(&wanted).map(|corner| corner.map(f32::to_bits)));
            }
            let found = encode(&mut dealt_chain, &dealer.gather(&records, flat, &backend), &words, tick);
            let wanted = encode(&mut own_chain, &own_dealer.gather(&records, flat, &none), &words, tick);
            prop_assert!(!wanted.is_empty() && found == wanted, "tick {tick}");
            backend.deal(dealer.order());
        }
        // The first step knew no order, and what is read of the second is the first.
        prop_assert_eq!(dealt, 7);
        let launched = |strings: &Arc<Mutex<Strings>>| {
            strings.lock().unwrap().launched.drain(..).filter(|kernel| *kernel == "pack_wire").count()
        };
        prop_assert_eq!(launched(&strings), 8);
        backend.deal(None);
        backend.step();
        prop_assert_eq!(launched(&strings), 0, "nobody subscribes, nothing is made");
    }
}

#[test]
fn an_order_of_another_graph_is_not_taken() {
    let (mut backend, strings) =
        cuda(SimParams::default(), &topology(Shape::Random, 40, Dimensions::Three), false, false);
    let order = Arc::new(crate::handoff::WireOrder::new(3, (0..41).collect()));
    backend.deal(Some(&order));
    for _ in 0..3 {
        backend.step();
        assert_eq!(backend.dealt(3), None);
    }
    let order = Arc::new(crate::handoff::WireOrder::new(4, (0..40).rev().collect()));
    backend.deal(Some(&order));
    for _ in 0..2 {
        backend.step();
    }
    assert_eq!(backend.dealt(4).unwrap().points[0], backend.position(NodeIndex(39)).unwrap());
    assert_eq!(backend.dealt(3), None);
    // An order is of one structure.
    backend.upload(topology(Shape::Random, 40, Dimensions::Three)).unwrap();
    backend.step();
    backend.step();
    assert_eq!(backend.dealt(4), None);
    assert_eq!(condition_errors(&mut backend, &strings), 0);
}

fn condition_errors(backend: &mut CudaBackend, strings: &Arc<Mutex<Strings>>) -> u64 {
    strings.lock().unwrap().broken = false;
    backend.condition().errors
}
