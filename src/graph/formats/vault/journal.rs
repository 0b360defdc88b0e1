//! Names of Logseq's journal pages: a file `2023_01_05.md` is the page "Jan 5th, 2023", or whatever the vault's
//! configuration says a date looks like.

/// How Logseq titles a day unless told otherwise.
pub(super) const DEFAULT_FORMAT: &str = "MMM do, yyyy";

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day {
    year: u32,
    month: u32,
    day: u32,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl Day {
    /// The day that a journal's file name, without its extension, spells.
    pub(super) fn of_file(stem: &str) -> Option<Self> {
        let parts: Vec<&str> = stem.split(['_', '-']).collect();
        let [year, month, day] = parts.as_slice() else { return None };
        let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
        if !(digits(year, 4) && digits(month, 2) && digits(day, 2)) {
            return None;
        }
        let day = Self { year: year.parse().ok()?, month: month.parse().ok()?, day: day.parse().ok()? };
        ((1..=12).contains(&day.month) && (1..=31).contains(&day.day)).then_some(day)
    }

    /// The day in `format`, a pattern of Logseq's: `yyyy`, `MM`, `MMM`, `MMMM`, `d`, `dd`, `do`, `E` to `EEEE`;
    /// other characters stand for themselves.
    pub(super) fn titled(self, format: &str) -> String {
        let mut title = String::new();
        let mut rest = format;
        while let Some(first) = rest.chars().next() {
            let run = rest.len() - rest.trim_start_matches(first).len();
            let mut used = run;
            let month = || MONTHS.get(self.month as usize - 1).copied().unwrap_or_default();
            match (first, run) {
                ('y', 2) => title += &format!("{:02}", self.year % 100),
                ('y', _) => title += &format!("{:04}", self.year),
                ('M', 1) => title += &self.month.to_string(),
                ('M', 2) => title += &format!("{:02}", self.month),
                ('M', 3) => title += month().get(..3).unwrap_or_default(),
                ('M', _) => title += month(),
                ('d', 1) if rest.starts_with("do") => {
                    used = 2;
                    title += &format!("{}{}", self.day, ordinal(self.day));
                }
                ('d', 1) => title += &self.day.to_string(),
                ('d', _) => title += &format!("{:02}", self.day),
                ('E', 1..=3) => title += self.weekday().get(..3).unwrap_or_default(),
                ('E', _) => title += self.weekday(),
                _ => {
                    used = first.len_utf8();
                    title.push(first);
                }
            }
            rest = rest.get(used..).unwrap_or_default();
        }
        title
    }

    /// The ways in which links spell the day beside its title.
    pub(super) fn aliases(self) -> [String; 4] {
        ["yyyy-MM-dd", "yyyy_MM_dd", "yyyy/MM/dd", DEFAULT_FORMAT].map(|format| self.titled(format))
    }

    /// Source: Sakamoto 1992, for the Gregorian calendar.
    fn weekday(self) -> &'static str {
        const SHIFT: [u32; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
        let year = if self.month < 3 { self.year.saturating_sub(1) } else { self.year };
        let shift = SHIFT.get(self.month as usize - 1).copied().unwrap_or_default();
        let place = (year + year / 4 - year / 100 + year / 400 + shift + self.day) % 7;
        WEEKDAYS.get(place as usize).copied().unwrap_or_default()
    }
}

fn ordinal(day: u32) -> &'static str {
    match (day % 10, day % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_titled_as_logseq_does() {
        let day = Day::of_file("2023_01_05").unwrap();
        for (format, title) in [
            (DEFAULT_FORMAT, "Jan 5th, 2023"),
            ("EEEE, dd.MM.yyyy", "Thursday, 05.01.2023"),
            ("E, d MMMM yy", "Thu, 5 January 23"),
            ("yyyyMMdd", "20230105"),
        ] {
            assert_eq!(day.titled(format), title);
        }
        assert_eq!(Day::of_file("2024-02-22").unwrap().titled("do EEE"), "22nd Thu");
        assert_eq!(Day::of_file("2024-12-11").unwrap().titled("do"), "11th");
        for stem in ["2023_13_01", "2023_00_01", "notes", "2023_1_5", "+023_01_05"] {
            assert_eq!(Day::of_file(stem), None, "{stem}");
        }
    }
}
