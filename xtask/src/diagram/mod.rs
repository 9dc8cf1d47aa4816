//! Diagrams of the documentation: draws `docs/diagrams/NAME.txt` as `NAME-light.svg` and `NAME-dark.svg`.
//!
//! A source is a list of commands, one per line; `#` begins a comment, `|` separates texts:
//!
//! ```text
//! title TEXT                                the diagram's name, for screen readers
//! desc TEXT                                 what it shows, for screen readers
//! canvas WIDTH HEIGHT
//! zone X Y WIDTH HEIGHT | TITLE             an area behind boxes
//! box ID X Y WIDTH HEIGHT KIND | TITLE | LINE...
//! arrow ID.SIDE ID.SIDE [both] [left] | LINE...    both: two heads; left: label on the left of a vertical arrow
//! key X Y KIND | TEXT                       an entry of the colour key
//! ```
//!
//! Coordinates are explicit, so the output depends on nothing but the source. A text that does not fit its box is an error.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use anyhow::{Context as _, Result, bail, ensure};

use crate::run::root;

const FOLDER: &str = "docs/diagrams";
const FONT: &str =
    "-apple-system, BlinkMacSystemFont, 'Segoe UI', 'Noto Sans', Inter, Helvetica, Arial, sans-serif";
/// Font sizes in pixels.
const TITLE: i32 = 16;
const TEXT: i32 = 13;
/// Distance between the tip of an arrow and the box.
const GAP: i32 = 4;
/// Length and half width of an arrow head.
const HEAD: (i32, i32) = (10, 5);

/// Fill and stroke.
type Paint = (&'static str, &'static str);

struct Theme {
    name: &'static str,
    background: &'static str,
    zone: Paint,
    text: &'static str,
    muted: &'static str,
    plain: Paint,
    program: Paint,
    sealed: Paint,
    kms: Paint,
}

const THEMES: [Theme; 2] = [
    Theme {
        name: "light",
        background: "#ffffff",
        zone: ("#f6f8fa", "#d1d9e0"),
        text: "#1f2328",
        muted: "#59636e",
        plain: ("#fff1e5", "#bc4c00"),
        program: ("#ffffff", "#59636e"),
        sealed: ("#dafbe1", "#1a7f37"),
        kms: ("#fbefff", "#8250df"),
    },
    Theme {
        name: "dark",
        background: "#0d1117",
        zone: ("#151b23", "#3d444d"),
        text: "#f0f6fc",
        muted: "#9ea7b0",
        plain: ("#33200f", "#db6d28"),
        program: ("#212830", "#9198a1"),
        sealed: ("#12291a", "#3fb950"),
        kms: ("#251c38", "#ab7df8"),
    },
];

impl Theme {
    fn paint(&self, kind: &str) -> Result<Paint> {
        Ok(match kind {
            "plain" => self.plain,
            "program" => self.program,
            "sealed" => self.sealed,
            "kms" => self.kms,
            other => bail!("unknown kind {other:?}; use plain, program, sealed or kms"),
        })
    }
}

/// Draws every diagram; with `check` only compares.
pub(crate) fn generate(check: bool) -> Result<()> {
    let folder = root().join(FOLDER);
    let mut stale = Vec::new();
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {FOLDER}"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "txt")
            && let Some(name) = path.file_stem()
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    for name in names {
        let source = fs::read_to_string(folder.join(format!("{name}.txt")))?;
        for theme in &THEMES {
            let file = format!("{name}-{}.svg", theme.name);
            let svg = draw(&source, theme).with_context(|| format!("{FOLDER}/{name}.txt"))?;
            if fs::read_to_string(folder.join(&file)).is_ok_and(|old| old == svg) {
                continue;
            }
            if check {
                stale.push(file);
            } else {
                fs::write(folder.join(&file), svg)
                    .with_context(|| format!("cannot write {FOLDER}/{file}"))?;
                println!("{FOLDER}/{file}: written");
            }
        }
    }
    ensure!(
        stale.is_empty(),
        "out of date in {FOLDER}: {}; run `cargo xtask generate`",
        stale.join(", ")
    );
    Ok(())
}

#[derive(Clone, Copy)]
struct Rect {
    x: i32,
    y: i32,
    width: i32,
    height: i32,
}

impl Rect {
    fn side(&self, side: &str) -> Result<(i32, i32)> {
        let (middle, centre) = (self.x + self.width / 2, self.y + self.height / 2);
        Ok(match side {
            "left" => (self.x - GAP, centre),
            "right" => (self.x + self.width + GAP, centre),
            "top" => (middle, self.y - GAP),
            "bottom" => (middle, self.y + self.height + GAP),
            other => bail!("unknown side {other:?}"),
        })
    }
}

/// The drawing so far. Zones, boxes and arrows are drawn in the order of the source.
struct Canvas<'t> {
    theme: &'t Theme,
    boxes: BTreeMap<String, Rect>,
    head: String,
    body: String,
}

/// Draws one source in one theme.
fn draw(source: &str, theme: &Theme) -> Result<String> {
    let mut canvas = Canvas {
        theme,
        boxes: BTreeMap::new(),
        head: String::new(),
        body: String::new(),
    };
    for (number, line) in source.lines().enumerate() {
        if !line.trim().is_empty() && !line.starts_with('#') {
            canvas
                .command(line)
                .with_context(|| format!("line {}: {line}", number + 1))?;
        }
    }
    ensure!(!canvas.head.is_empty(), "no canvas");
    Ok(format!("{}{}</svg>\n", canvas.head, canvas.body))
}

impl Canvas<'_> {
    fn command(&mut self, line: &str) -> Result<()> {
        let mut parts = line.split('|').map(str::trim);
        let first = parts.next().unwrap_or_default();
        let texts: Vec<&str> = parts.collect();
        let (command, rest) = first.split_once(' ').context("a command has arguments")?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        match (command, words.as_slice(), texts.as_slice()) {
            ("title" | "desc", _, []) => {
                writeln!(self.body, "  <{command}>{}</{command}>", escape(rest.trim()))?;
            }
            ("canvas", [width, height], []) => self.canvas(number(width)?, number(height)?)?,
            ("zone", place, [title]) => self.zone(rect(place)?, title)?,
            ("box", [id, place @ .., kind], [title, lines @ ..]) => {
                let place = rect(place)?;
                self.boxes.insert((*id).to_owned(), place);
                self.boxed(place, kind, title, lines)?;
            }
            ("arrow", [from, to, options @ ..], label) => {
                let unknown = options.iter().find(|option| !["both", "left"].contains(option));
                ensure!(unknown.is_none(), "unknown option {unknown:?}");
                let (from, to) = (self.end(from)?, self.end(to)?);
                self.arrow(from, to, options, label)?;
            }
            ("key", [x, y, kind], [text]) => self.key((number(x)?, number(y)?), kind, text)?,
            _ => bail!("unknown command, or wrong number of arguments"),
        }
        Ok(())
    }

    fn canvas(&mut self, width: i32, height: i32) -> Result<()> {
        writeln!(
            self.head,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" font-family="{FONT}">"#
        )?;
        let background = self.theme.background;
        writeln!(
            self.body,
            r#"  <rect width="{width}" height="{height}" rx="12" fill="{background}"/>"#
        )?;
        Ok(())
    }

    fn zone(&mut self, at: Rect, title: &str) -> Result<()> {
        self.rect(at, 10, self.theme.zone, 1)?;
        fits(title, TEXT, at.width - 32)?;
        let place = (at.x + 16, at.y + 28);
        self.text(place, "start", TEXT, 600, self.theme.muted, title)
    }

    fn boxed(&mut self, at: Rect, kind: &str, title: &str, lines: &[&str]) -> Result<()> {
        self.rect(at, 8, self.theme.paint(kind)?, 2)?;
        let middle = at.x + at.width / 2;
        let step = TEXT + 5;
        let count = i32::try_from(lines.len())?;
        // Centred by the height of capitals, 0.7 of the font size.
        let height = TITLE * 7 / 10 + if count == 0 { 0 } else { 4 + count * step };
        ensure!(height + 16 <= at.height, "the box is too low for its text");
        let mut y = at.y + (at.height - height) / 2 + TITLE * 7 / 10;
        fits(title, TITLE, at.width - 14)?;
        self.text((middle, y), "middle", TITLE, 600, self.theme.text, title)?;
        y += 4;
        for line in lines {
            y += step;
            fits(line, TEXT, at.width - 12)?;
            self.text((middle, y), "middle", TEXT, 400, self.theme.muted, line)?;
        }
        Ok(())
    }

    fn end(&self, word: &str) -> Result<(Rect, String)> {
        let (id, side) = word.split_once('.').context("an arrow's end is ID.SIDE")?;
        let rect = self
            .boxes
            .get(id)
            .with_context(|| format!("no box {id:?} before this line"))?;
        rect.side(side)?;
        Ok((*rect, side.to_owned()))
    }

    fn arrow(
        &mut self,
        (from, out): (Rect, String),
        (to, into): (Rect, String),
        options: &[&str],
        label: &[&str],
    ) -> Result<()> {
        let upright = matches!(out.as_str(), "top" | "bottom");
        let (mut start, mut end) = (from.side(&out)?, to.side(&into)?);
        // Arrows are straight: the smaller box decides the coordinate that both ends share.
        if upright {
            let x = if from.width <= to.width { start.0 } else { end.0 };
            (start.0, end.0) = (x, x);
        } else {
            let y = if from.height <= to.height { start.1 } else { end.1 };
            (start.1, end.1) = (y, y);
        }
        let meets = |at: Rect| {
            if upright {
                (at.x..at.x + at.width).contains(&end.0)
            } else {
                (at.y..at.y + at.height).contains(&end.1)
            }
        };
        ensure!(
            meets(from) && meets(to),
            "a straight arrow cannot join these boxes"
        );
        let colour = self.theme.muted;
        let direction = ((end.0 - start.0).signum(), (end.1 - start.1).signum());
        let (mut line_start, line_end) = (start, back(end, direction));
        self.arrow_head(end, direction)?;
        if options.contains(&"both") {
            let opposite = (-direction.0, -direction.1);
            self.arrow_head(start, opposite)?;
            line_start = back(start, opposite);
        }
        let ((x1, y1), (x2, y2)) = (line_start, line_end);
        writeln!(
            self.body,
            r#"  <line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" stroke-width="2"/>"#
        )?;
        let middle = (i32::midpoint(start.0, end.0), i32::midpoint(start.1, end.1));
        let count = i32::try_from(label.len())?;
        for (index, text) in (0..).zip(label) {
            let text_colour = self.theme.text;
            if upright {
                let y = middle.1 + 5 + (2 * index - count + 1) * (TEXT + 5) / 2;
                let (x, anchor) = if options.contains(&"left") {
                    (middle.0 - 14, "end")
                } else {
                    (middle.0 + 14, "start")
                };
                self.text((x, y), anchor, TEXT, 400, text_colour, text)?;
            } else {
                // The first line above the arrow, the second below it.
                ensure!(count <= 2, "a horizontal arrow has a label of at most two lines");
                fits(text, TEXT, (end.0 - start.0).abs() + 6)?;
                let y = if index == 0 { middle.1 - 12 } else { middle.1 + 22 };
                self.text((middle.0, y), "middle", TEXT, 400, text_colour, text)?;
            }
        }
        Ok(())
    }

    fn arrow_head(&mut self, (x, y): (i32, i32), (dx, dy): (i32, i32)) -> Result<()> {
        let (length, half) = HEAD;
        let base = (x - dx * length, y - dy * length);
        let (ax, ay) = (base.0 + dy * half, base.1 + dx * half);
        let (bx, by) = (base.0 - dy * half, base.1 - dx * half);
        let colour = self.theme.muted;
        writeln!(
            self.body,
            r#"  <polygon points="{x},{y} {ax},{ay} {bx},{by}" fill="{colour}"/>"#
        )?;
        Ok(())
    }

    fn key(&mut self, (x, y): (i32, i32), kind: &str, text: &str) -> Result<()> {
        let swatch = Rect {
            x,
            y: y - 11,
            width: 14,
            height: 14,
        };
        self.rect(swatch, 3, self.theme.paint(kind)?, 2)?;
        self.text((x + 22, y), "start", TEXT, 400, self.theme.muted, text)
    }

    fn rect(&mut self, at: Rect, radius: i32, (fill, stroke): Paint, width: i32) -> Result<()> {
        let Rect {
            x,
            y,
            width: w,
            height: h,
        } = at;
        writeln!(
            self.body,
            r#"  <rect x="{x}" y="{y}" width="{w}" height="{h}" rx="{radius}" fill="{fill}" stroke="{stroke}" stroke-width="{width}"/>"#
        )?;
        Ok(())
    }

    fn text(
        &mut self,
        (x, y): (i32, i32),
        anchor: &str,
        size: i32,
        weight: i32,
        colour: &str,
        text: &str,
    ) -> Result<()> {
        let text = escape(text);
        writeln!(
            self.body,
            r#"  <text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="{colour}">{text}</text>"#
        )?;
        Ok(())
    }
}

/// The point before an arrow head, where its line ends.
fn back((x, y): (i32, i32), (dx, dy): (i32, i32)) -> (i32, i32) {
    (x - dx * (HEAD.0 - 1), y - dy * (HEAD.0 - 1))
}

fn number(word: &str) -> Result<i32> {
    word.parse().with_context(|| format!("{word:?} is not a number"))
}

fn rect(words: &[&str]) -> Result<Rect> {
    let [x, y, width, height] = words else {
        bail!("a place is X Y WIDTH HEIGHT");
    };
    Ok(Rect {
        x: number(x)?,
        y: number(y)?,
        width: number(width)?,
        height: number(height)?,
    })
}

/// Refuses a text that is wider than `width` pixels in a usual sans-serif font, estimated generously.
fn fits(text: &str, size: i32, width: i32) -> Result<()> {
    let thousandths: i32 = text
        .chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 300,
            'f' | 't' | 'r' | ' ' | '(' | ')' | '-' => 390,
            'm' | 'w' | 'M' | 'W' | '@' => 900,
            c if c.is_uppercase() => 700,
            _ => 580,
        })
        .sum();
    let needed = thousandths * size / 1000;
    ensure!(needed <= width, "{text:?} needs {needed} pixels of {width}");
    Ok(())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
