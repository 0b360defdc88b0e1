//! The kernels: their names, and the PTX that `kernels/build.py` made of their sources.

macro_rules! kernels {
    ($($file:literal { $($(#[$doc:meta])* $kernel:ident = $name:literal,)+ })+) => {
        /// A kernel. What each does stands in its file.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the sources have the documentation")]
        pub(super) enum Kernel {
            $($($kernel,)+)+
        }

        impl Kernel {
            /// Every kernel, in the order of their numbers.
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$($(Self::$kernel,)+)+];

            /// As the PTX calls it.
            pub(super) const fn name(self) -> &'static str {
                match self { $($(Self::$kernel => $name,)+)+ }
            }
        }

        /// PTX, ending in a zero byte, and the kernels in it.
        pub(super) const MODULES: &[(&str, &[Kernel])] = &[
            $((concat!(include_str!(concat!("../../../kernels/ptx/", $file, ".ptx")), "\0"), &[$(Kernel::$kernel,)+]),)+
        ];
    };
}

kernels! {
    "centre" { CentrePieces = "centre_pieces", CentreComponents = "centre_components", }
    "edit" { EditNodes = "edit_nodes", ResetNodes = "reset_nodes", }
    "frame" { FrameExtents = "frame_extents", FrameJoin = "frame_join", FrameBounds = "frame_bounds", }
    "gate" { GateMark = "gate_mark", GatePlace = "gate_place", GateReset = "gate_reset", }
    "keys" { CurveKeys = "curve_keys", }
    "move" { MoveNodes = "move_nodes", MoveReport = "move_report", }
    "pack" { PackNodes = "pack_nodes", PackWire = "pack_wire", }
    "part" { PartCoincident = "part_coincident", }
    "refit" { RefitNodes = "refit_nodes", }
    "repulse_exact" {
        Exact = "repulse_exact",
        ExactCutoff = "repulse_exact_cutoff",
        ExactInverse = "repulse_exact_inverse",
        ExactInverseCutoff = "repulse_exact_inverse_cutoff",
        ExactSum = "repulse_sum",
        NoRepulsion = "repulse_none",
    }
    "repulse_tree" {
        Tree = "repulse_tree",
        TreeCutoff = "repulse_tree_cutoff",
        TreeInverse = "repulse_tree_inverse",
        TreeInverseCutoff = "repulse_tree_inverse_cutoff",
    }
    "sample" { Sample = "repulse_sample", }
    "sort" { SortCount = "sort_count", SortScan = "sort_scan", SortScatter = "sort_scatter", }
    "springs" { SpringRows = "springs_rows", SpringPieces = "springs_pieces", SpringLong = "springs_long", }
    "tree" { TreeGather = "tree_gather", TreeLeaves = "tree_leaves", TreeLevel = "tree_level", TreeTop = "tree_top", }
    "warmth" { WarmTouch = "warm_touch", WarmSpread = "warm_spread", WarmFade = "warm_fade", }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_is_in_its_file_and_the_files_have_no_other() {
        for (ptx, kernels) in MODULES {
            assert!(ptx.contains(".target sm_70") && ptx.contains(".version 8.0"), "loads on every driver from 525 on");
            let entries: Vec<&str> = ptx.split(".entry ").skip(1).map(|rest| rest.split('(').next().unwrap()).collect();
            let names: Vec<&str> = kernels.iter().map(|kernel| kernel.name()).collect();
            let sorted = |mut names: Vec<&'static str>| {
                names.sort_unstable();
                names
            };
            assert_eq!(sorted(entries), sorted(names));
        }
    }

    #[test]
    fn kernels_are_numbered_in_order() {
        assert!(Kernel::ALL.iter().enumerate().all(|(number, kernel)| *kernel as usize == number));
    }
}
