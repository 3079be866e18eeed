//! HTML to readable text: the main part of the page, without what surrounds it on every page.

use super::html_tree::{Element, NodeKind, Tree, is_block, is_heading, never_visible};
use super::text::{Gap, TextBuilder, one_line};
use super::{ExtractError, Extracted};

/// Words in a class or an id that mark page furniture. Compared as whole words, and overruled when the element holds most of the page.
const FURNITURE: &[&str] = &[
    "cookie",
    "cookies",
    "cookiebar",
    "cookiebanner",
    "consent",
    "gdpr",
    "breadcrumb",
    "breadcrumbs",
    "sidebar",
    "advert",
    "advertisement",
    "ads",
    "popup",
    "modal",
    "newsletter",
    "sharing",
    "share",
    "social",
    "skiplink",
    "pagination",
    "pager",
    "promo",
    "noprint",
    "navbar",
    "nav",
    "navigation",
    "masthead",
    "sitemap",
    "headerlink",
    "permalink",
    "toc",
];

pub(super) fn read(source: &str) -> Result<Extracted, ExtractError> {
    let tree = Tree::parse(source);
    let head = Head::read(&tree);
    let parts = main_parts(&tree);
    let mut out = TextBuilder::new();
    let mut writer = Writer::new(&tree, true);
    for part in &parts {
        writer.element(*part, &mut out)?;
        writer.flush(&mut out)?;
    }
    let mut warnings = Vec::new();
    if out.is_empty() && tree.text_len(0) > 0 {
        // The whole page looks like furniture: better all of it than nothing.
        let mut all = Writer::new(&tree, false);
        all.element(0, &mut out)?;
        all.flush(&mut out)?;
        warnings.push("no main part was found; navigation and footers may be included".to_owned());
    }
    let mut extracted = out.finish("text/html");
    extracted.title = head.title(extracted.title);
    extracted.lang = head.lang;
    extracted.warnings = warnings;
    Ok(extracted)
}

/// Appends a fragment of HTML, such as a block inside Markdown, to a document being built.
pub(super) fn append_fragment(source: &str, out: &mut TextBuilder) -> Result<(), ExtractError> {
    let tree = Tree::parse(source);
    let mut writer = Writer::new(&tree, true);
    writer.element(0, out)?;
    writer.flush(out)
}

/// Title and language of the page.
#[derive(Default)]
struct Head {
    title: Option<String>,
    og_title: Option<String>,
    lang: Option<String>,
}

impl Head {
    fn read(tree: &Tree) -> Self {
        let mut head = Self::default();
        for (id, node) in tree.nodes.iter().enumerate() {
            let NodeKind::Element(element) = &node.kind else {
                continue;
            };
            match element.name.as_str() {
                "html" | "body" if head.lang.is_none() => head.lang.clone_from(&element.lang),
                "title" if head.title.is_none() => {
                    let text: String = tree.children(id).iter().filter_map(|c| text_of(tree, *c)).collect();
                    head.title = Some(one_line(&text)).filter(|t| !t.is_empty());
                }
                "meta" if head.og_title.is_none() => head.og_title.clone_from(&element.meta_title),
                _ => {}
            }
        }
        head
    }

    /// `<title>` often carries the site's name; when it starts with the page's first heading, the heading is the better title.
    fn title(&self, heading: Option<String>) -> Option<String> {
        match (&self.title, heading) {
            (Some(title), Some(heading)) if title.starts_with(&heading) => Some(heading),
            (Some(title), _) => Some(title.clone()),
            (None, heading) => self.og_title.as_deref().map(one_line).filter(|t| !t.is_empty()).or(heading),
        }
    }
}

fn text_of(tree: &Tree, id: usize) -> Option<&str> {
    match tree.nodes.get(id).map(|n| &n.kind) {
        Some(NodeKind::Text(text)) => Some(text),
        _ => None,
    }
}

/// `main` when it holds a real share of the page's text, else the articles when they hold half of it, else the whole page.
fn main_parts(tree: &Tree) -> Vec<usize> {
    let total = tree.text_len(0);
    for (names, role, share) in [(["main", "main"], "main", 4), (["article", "article"], "article", 2)] {
        let mut found = Vec::new();
        collect_outermost(tree, 0, 0, &|e| names.contains(&e.name.as_str()) || e.role == role, &mut found);
        let held: usize = found.iter().map(|id| tree.text_len(*id)).sum();
        if held > 0 && held * share >= total {
            return found;
        }
    }
    vec![0]
}

fn collect_outermost(tree: &Tree, id: usize, depth: usize, wanted: &dyn Fn(&Element) -> bool, found: &mut Vec<usize>) {
    for child in tree.children(id) {
        let Some(element) = tree.element(*child) else {
            continue;
        };
        if never_visible(element) {
            continue;
        }
        if wanted(element) {
            found.push(*child);
        } else if depth < super::html_tree::MAX_DEPTH {
            collect_outermost(tree, *child, depth + 1, wanted, found);
        }
    }
}

/// Writes a tree as text. Recursion is as deep as the tree, which is bounded.
struct Writer<'a> {
    tree: &'a Tree,
    /// Leave out page furniture.
    strict: bool,
    inline: String,
    lists: Vec<Option<u64>>,
    bullet: Option<String>,
    tight: bool,
    total: usize,
}

impl<'a> Writer<'a> {
    fn new(tree: &'a Tree, strict: bool) -> Self {
        Self { tree, strict, inline: String::new(), lists: Vec::new(), bullet: None, tight: false, total: tree.text_len(0) }
    }

    fn is_furniture(&self, id: usize, element: &Element) -> bool {
        if never_visible(element) || matches!(element.name.as_str(), "select" | "button" | "input" | "textarea") {
            return true;
        }
        if !self.strict {
            return false;
        }
        let by_nature = matches!(element.name.as_str(), "nav" | "aside" | "footer" | "dialog" | "menu" | "search" | "noscript")
            || matches!(
                element.role.as_str(),
                "navigation"
                    | "banner"
                    | "contentinfo"
                    | "search"
                    | "complementary"
                    | "dialog"
                    | "alertdialog"
                    | "menu"
                    | "menubar"
                    | "toolbar"
            );
        if by_nature {
            return true;
        }
        // These judge by habit, so an element that holds half of the page's text is kept.
        let by_habit = matches!(element.name.as_str(), "form" | "header")
            || element.labels.split(|c: char| !c.is_alphanumeric()).any(|word| FURNITURE.contains(&word));
        by_habit && self.tree.text_len(id) * 2 < self.total && !self.holds_title(id)
    }

    /// A header with the page's only top heading is content.
    fn holds_title(&self, id: usize) -> bool {
        self.tree.children(id).iter().any(|child| {
            self.tree.element(*child).is_some_and(|e| {
                e.name == "h1"
                    || matches!(e.name.as_str(), "div" | "hgroup")
                        && self.tree.children(*child).iter().any(|g| self.tree.element(*g).is_some_and(|e| e.name == "h1"))
            })
        })
    }

    fn element(&mut self, id: usize, out: &mut TextBuilder) -> Result<(), ExtractError> {
        let tree = self.tree;
        for child in tree.children(id) {
            match tree.nodes.get(*child).map(|n| &n.kind) {
                Some(NodeKind::Text(text)) => self.push_text(text),
                Some(NodeKind::Element(element)) if !self.is_furniture(*child, element) => self.visit(*child, element, out)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn visit(&mut self, id: usize, element: &Element, out: &mut TextBuilder) -> Result<(), ExtractError> {
        match element.name.as_str() {
            "br" => self.inline.push('\n'),
            "img" => {
                if element.alt.chars().any(char::is_alphanumeric) {
                    self.push_text(" ");
                    self.push_text(&element.alt);
                    self.push_text(" ");
                }
            }
            "hr" => self.flush(out)?,
            "pre" | "listing" | "xmp" | "plaintext" => {
                self.flush(out)?;
                self.bullet = None;
                let mut code = String::new();
                raw_text(self.tree, id, &mut code);
                out.code(&code)?;
                self.tight = false;
            }
            "ul" | "ol" | "menu" => {
                self.flush(out)?;
                let outer_tight = std::mem::replace(&mut self.tight, !self.lists.is_empty());
                self.lists.push((element.name == "ol").then(|| element.start.unwrap_or(1)));
                self.element(id, out)?;
                self.flush(out)?;
                self.lists.pop();
                self.tight = outer_tight && !self.lists.is_empty() || !self.lists.is_empty();
            }
            "li" => {
                self.flush(out)?;
                let bullet = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        let label = format!("{number}. ");
                        *number = number.saturating_add(1);
                        label
                    }
                    _ => "- ".to_owned(),
                };
                self.bullet = Some(bullet);
                self.element(id, out)?;
                self.flush(out)?;
                self.bullet = None;
                self.tight = true;
            }
            "table" if self.is_data_table(id) => {
                self.flush(out)?;
                self.bullet = None;
                self.table(id, out)?;
                self.tight = false;
            }
            name if is_heading(name) || element.role == "heading" && is_block(name) => {
                self.flush(out)?;
                self.bullet = None;
                self.element(id, out)?;
                let title = std::mem::take(&mut self.inline);
                let level = name.strip_prefix('h').and_then(|l| l.parse().ok()).unwrap_or(3);
                out.heading(level, title.trim().trim_end_matches(['¶', '#', '§']).trim())?;
                self.tight = false;
            }
            name if is_block(name) => {
                self.flush(out)?;
                self.element(id, out)?;
                self.flush(out)?;
            }
            _ => self.element(id, out)?,
        }
        Ok(())
    }

    /// Adds inline text with HTML's white-space rule: any run of white space is one space.
    fn push_text(&mut self, text: &str) {
        for c in text.chars() {
            if matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}') {
                if !self.inline.is_empty() && !self.inline.ends_with([' ', '\n']) {
                    self.inline.push(' ');
                }
            } else {
                self.inline.push(c);
            }
        }
    }

    fn flush(&mut self, out: &mut TextBuilder) -> Result<(), ExtractError> {
        let text = std::mem::take(&mut self.inline);
        let text = text.trim();
        if text.is_empty() {
            return Ok(());
        }
        let depth = self.lists.len().min(8);
        match (self.bullet.take(), depth) {
            (Some(bullet), _) => {
                let gap = if self.tight { Gap::Line } else { Gap::Paragraph };
                out.block(gap, &format!("{}{bullet}{text}", "  ".repeat(depth.saturating_sub(1))))?;
                self.tight = true;
            }
            (None, d) if d > 0 => out.block(Gap::Line, &format!("{}{text}", "  ".repeat(d)))?,
            _ => {
                out.block(Gap::Paragraph, text)?;
                self.tight = false;
            }
        }
        Ok(())
    }

    /// A table of data, not of layout: no nested table or heading inside, not marked as presentation, more than one cell.
    fn is_data_table(&self, id: usize) -> bool {
        let presentation = self.tree.element(id).is_some_and(|e| matches!(e.role.as_str(), "presentation" | "none"));
        let mut cells = 0usize;
        let mut stack: Vec<usize> = self.tree.children(id).to_vec();
        while let Some(next) = stack.pop() {
            let Some(element) = self.tree.element(next) else {
                continue;
            };
            if element.name == "table" || is_heading(&element.name) {
                return false;
            }
            cells += usize::from(matches!(element.name.as_str(), "td" | "th"));
            stack.extend(self.tree.children(next));
        }
        !presentation && cells > 1
    }

    fn table(&mut self, id: usize, out: &mut TextBuilder) -> Result<(), ExtractError> {
        let tree = self.tree;
        let mut first = true;
        // Rows in document order, wherever they sit; captions become paragraphs.
        let mut stack: Vec<usize> = tree.children(id).iter().rev().copied().collect();
        while let Some(next) = stack.pop() {
            let Some(element) = tree.element(next) else {
                continue;
            };
            match element.name.as_str() {
                "tr" => {
                    let cells: Vec<String> = tree
                        .children(next)
                        .iter()
                        .filter(|c| tree.element(**c).is_some_and(|e| matches!(e.name.as_str(), "td" | "th") && !never_visible(e)))
                        .map(|cell| {
                            let mut text = String::new();
                            visible_text(tree, *cell, &mut text);
                            one_line(&text)
                        })
                        .collect();
                    if cells.iter().any(|c| !c.is_empty()) {
                        out.block(if first { Gap::Paragraph } else { Gap::Line }, &cells.join(" | "))?;
                        first = false;
                    }
                }
                "caption" => {
                    let mut text = String::new();
                    visible_text(tree, next, &mut text);
                    out.block(Gap::Paragraph, &one_line(&text))?;
                }
                _ => stack.extend(tree.children(next).iter().rev()),
            }
        }
        Ok(())
    }
}

/// All text below a node as it stands, for preformatted blocks.
fn raw_text(tree: &Tree, id: usize, text: &mut String) {
    for child in tree.children(id) {
        match tree.nodes.get(*child).map(|n| &n.kind) {
            Some(NodeKind::Text(piece)) => text.push_str(piece),
            Some(NodeKind::Element(e)) if e.name == "br" => text.push('\n'),
            Some(NodeKind::Element(_)) => raw_text(tree, *child, text),
            None => {}
        }
    }
}

/// Visible text below a node with blocks and breaks separated by spaces, for table cells.
fn visible_text(tree: &Tree, id: usize, text: &mut String) {
    for child in tree.children(id) {
        match tree.nodes.get(*child).map(|n| &n.kind) {
            Some(NodeKind::Text(piece)) => text.push_str(piece),
            Some(NodeKind::Element(e)) if never_visible(e) => {}
            Some(NodeKind::Element(e)) => {
                if e.name == "br" || is_block(&e.name) {
                    text.push(' ');
                }
                if e.name == "img" {
                    text.push_str(&e.alt);
                }
                visible_text(tree, *child, text);
                if is_block(&e.name) {
                    text.push(' ');
                }
            }
            None => {}
        }
    }
}
