//! The colours of values that have none of their own: those of the viewer (`clients/viewer/src/palette.ts`).

/// Twelve hues of about the same lightness on the dark ground.
const HUES: [u32; 12] = [
    0x6C_B6_FF, 0xF6_B7_3C, 0x6F_D6_8A, 0xFF_7D_94, 0xB9_9B_FF, 0x45_D4_DC, 0xFF_96_57, 0xB6_D9_4C, 0xEE_86_E0,
    0xD8_C3_9A, 0x8F_A6_C9, 0x5F_E0_B0,
];

/// What has no value, and what is behind the 36th.
pub(super) const NONE: u32 = 0x7F_90_AB;

/// From the least to the greatest.
pub(super) const RAMP: [u32; 5] = [0x3F_74_D6, 0x3F_A9_E0, 0x45_D4_C0, 0xB6_D9_4C, 0xFF_D2_5E];

fn parts(rgb: u32) -> [f64; 3] {
    [16, 8, 0].map(|shift| f64::from(rgb >> shift & 0xFF))
}

fn joined(parts: [f64; 3]) -> u32 {
    parts.iter().fold(0, |rgb, part| rgb << 8 | (*part + 0.5).floor().clamp(0.0, 255.0) as u32)
}

/// The colour of the value of this rank by how many have it, from 0: the same dozen again paler, then darker.
pub fn hue(rank: usize) -> u32 {
    let Some(colour) = HUES.get(rank % HUES.len()).copied().filter(|_| rank < 3 * HUES.len()) else { return NONE };
    match rank / HUES.len() {
        0 => colour,
        1 => joined(parts(colour).map(|part| part + (255.0 - part) * 0.45)),
        _ => joined(parts(colour).map(|part| part * 0.62)),
    }
}

/// The colour at a share of a ramp, 0 its beginning and 1 its end.
pub(super) fn ramp(colours: &[u32], share: f64) -> u32 {
    let last = colours.len().saturating_sub(1);
    let place = share.clamp(0.0, 1.0) * last as f64;
    let low = (place.floor() as usize).min(last.saturating_sub(1));
    let at = |index: usize| parts(colours.get(index).copied().unwrap_or(NONE));
    let (from, to, part) = (at(low), at((low + 1).min(last)), place - low as f64);
    let mut mixed = from;
    mixed.iter_mut().zip(to).for_each(|(from, to)| *from += (to - *from) * part);
    joined(mixed)
}

/// Of a class, where the mapping has none.
pub(super) fn of_class(name: &str) -> Option<u32> {
    Some(match name {
        "knowledge" => 0x6C_B6_FF,
        "agent" => 0xF6_B7_3C,
        "ontology_class" => 0xB9_9B_FF,
        "ontology_individual" => 0x6F_D6_8A,
        "ontology_property" => 0xFF_7D_94,
        _ => return None,
    })
}
