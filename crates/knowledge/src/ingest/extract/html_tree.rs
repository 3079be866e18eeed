//! A small document tree for HTML: what text extraction needs to know, bounded in depth.
//!
//! Elements that HTML closes by implication (`p`, `li`, `td`, `option`, …) are closed; an end tag without a start tag is ignored; elements nested
//! deeper than [`MAX_DEPTH`] become children of the deepest allowed one, so their text is kept and nothing recurses far.

use super::html_tokens::{Token, Tokens};

/// Deepest nesting kept.
pub(super) const MAX_DEPTH: usize = 200;

/// A node: an element or a piece of text.
#[derive(Debug)]
pub(super) struct Node {
    pub kind: NodeKind,
    pub children: Vec<usize>,
    /// Bytes of visible text below this node; a measure for choosing the main part.
    pub text_len: usize,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum NodeKind {
    Element(Element),
    Text(String),
}

/// An element with the attributes that matter.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub name: String,
    /// `class` and `id`, lower-case, joined by spaces.
    pub labels: String,
    pub role: String,
    pub hidden: bool,
    pub lang: Option<String>,
    /// `alt` of an image.
    pub alt: String,
    /// `start` of an ordered list.
    pub start: Option<u64>,
    /// `content` of a `meta` tag whose name or property is a title.
    pub meta_title: Option<String>,
}

/// The tree; node 0 is the root.
pub(super) struct Tree {
    pub nodes: Vec<Node>,
}

impl Tree {
    /// Parses a document or a fragment.
    pub(super) fn parse(source: &str) -> Self {
        let root =
            Node { kind: NodeKind::Element(Element { name: "#root".to_owned(), ..Element::default() }), children: Vec::new(), text_len: 0 };
        let mut builder = Builder { tree: Self { nodes: vec![root] }, open: vec![0], overflow: 0 };
        for token in Tokens::new(source) {
            match token {
                Token::Text { text, raw } => builder.text(text, raw),
                Token::Start { name, attributes } => builder.start(name, &attributes),
                Token::End { name } => builder.end(&name),
            }
        }
        builder.tree.measure();
        builder.tree
    }

    pub(super) fn element(&self, id: usize) -> Option<&Element> {
        match self.nodes.get(id).map(|n| &n.kind) {
            Some(NodeKind::Element(element)) => Some(element),
            _ => None,
        }
    }

    pub(super) fn children(&self, id: usize) -> &[usize] {
        self.nodes.get(id).map_or(&[], |n| n.children.as_slice())
    }

    pub(super) fn text_len(&self, id: usize) -> usize {
        self.nodes.get(id).map_or(0, |n| n.text_len)
    }

    /// Children always have higher numbers than their parent, so one pass from the back sums every subtree.
    fn measure(&mut self) {
        for id in (0..self.nodes.len()).rev() {
            let own = match self.nodes.get(id).map(|n| &n.kind) {
                Some(NodeKind::Text(text)) => text.split_whitespace().map(str::len).sum(),
                Some(NodeKind::Element(element)) if never_visible(element) => 0,
                _ => self.children(id).iter().map(|c| self.text_len(*c)).sum(),
            };
            if let Some(node) = self.nodes.get_mut(id) {
                node.text_len = own;
            }
        }
    }
}

/// Elements and states that a reader of the page never sees as text.
pub(super) fn never_visible(element: &Element) -> bool {
    element.hidden
        || matches!(
            element.name.as_str(),
            "script"
                | "style"
                | "template"
                | "head"
                | "title"
                | "meta"
                | "link"
                | "base"
                | "svg"
                | "iframe"
                | "object"
                | "embed"
                | "canvas"
                | "audio"
                | "video"
                | "map"
                | "noembed"
                | "noframes"
                | "datalist"
                | "param"
                | "source"
                | "track"
        )
}

struct Builder {
    tree: Tree,
    /// Open elements, root first.
    open: Vec<usize>,
    /// Elements that were too deep to open and wait for their end tags.
    overflow: usize,
}

impl Builder {
    fn text(&mut self, text: &str, raw: bool) {
        if text.is_empty() {
            return;
        }
        let text = if raw { text.to_owned() } else { htmlize::unescape(text).into_owned() };
        self.add(NodeKind::Text(text));
    }

    fn add(&mut self, kind: NodeKind) -> usize {
        let id = self.tree.nodes.len();
        self.tree.nodes.push(Node { kind, children: Vec::new(), text_len: 0 });
        let parent = self.open.last().copied().unwrap_or(0);
        if let Some(node) = self.tree.nodes.get_mut(parent) {
            node.children.push(id);
        }
        id
    }

    fn start(&mut self, name: String, attributes: &[(String, &str)]) {
        self.close_implied(&name);
        let void = is_void(&name);
        let element = read_element(name, attributes);
        let id = self.add(NodeKind::Element(element));
        if void {
            return;
        }
        if self.open.len() >= MAX_DEPTH {
            self.overflow += 1;
        } else {
            self.open.push(id);
        }
    }

    fn end(&mut self, name: &str) {
        if self.overflow > 0 {
            self.overflow -= 1;
            return;
        }
        let barrier: &[&str] = match name {
            "td" | "th" | "tr" | "tbody" | "thead" | "tfoot" | "caption" => &["table"],
            "table" | "html" | "body" => &[],
            _ => &["td", "th", "caption"],
        };
        self.close(&[name], barrier);
    }

    /// Pops up to and including the nearest open element named in `names`, unless one of `barriers` is nearer.
    fn close(&mut self, names: &[&str], barriers: &[&str]) {
        let found = self.open.iter().enumerate().skip(1).rev().find_map(|(at, id)| {
            let name = self.tree.element(*id).map_or("", |e| e.name.as_str());
            if names.contains(&name) {
                Some(Some(at))
            } else if barriers.contains(&name) {
                Some(None)
            } else {
                None
            }
        });
        if let Some(Some(at)) = found {
            self.open.truncate(at);
        }
    }

    fn close_implied(&mut self, name: &str) {
        if self.overflow > 0 {
            return;
        }
        match name {
            "li" => self.close(&["li"], &["ul", "ol", "menu", "td", "th"]),
            "dt" | "dd" => self.close(&["dt", "dd"], &["dl", "td", "th"]),
            "td" | "th" => self.close(&["td", "th"], &["tr", "table"]),
            "tr" => self.close(&["tr"], &["table"]),
            "tbody" | "thead" | "tfoot" => self.close(&["tbody", "thead", "tfoot"], &["table"]),
            "option" | "optgroup" => self.close(&["option"], &["select"]),
            "body" => self.close(&["head"], &[]),
            _ => {}
        }
        if is_block(name) {
            self.close(&["p"], &["td", "th", "caption", "button", "object", "table", "li", "dd", "div", "section", "article"]);
        }
        if is_heading(name) {
            self.close(&["h1", "h2", "h3", "h4", "h5", "h6"], &["td", "th", "div", "section", "article", "li"]);
        }
    }
}

fn read_element(name: String, attributes: &[(String, &str)]) -> Element {
    let mut element = Element { name, ..Element::default() };
    let mut meta_name = String::new();
    let mut content = "";
    for (key, value) in attributes {
        match key.as_str() {
            "class" | "id" => {
                // Labels are compared by word; a megabyte of them is no label.
                let short: String = value.chars().take(400).collect();
                element.labels.push_str(&short.to_ascii_lowercase());
                element.labels.push(' ');
            }
            "role" => element.role = value.trim().chars().take(40).collect::<String>().to_ascii_lowercase(),
            "hidden" => element.hidden = true,
            "aria-hidden" => element.hidden |= value.trim().eq_ignore_ascii_case("true"),
            "style" => {
                let style: String = value.chars().take(2000).filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
                element.hidden |= style.contains("display:none") || style.contains("visibility:hidden");
            }
            "lang" | "xml:lang" if element.lang.is_none() => element.lang = super::front_matter::primary_subtag(value),
            "alt" => element.alt = htmlize::unescape_attribute(*value).into_owned(),
            "start" => element.start = value.trim().parse().ok(),
            "name" | "property" => meta_name = value.to_ascii_lowercase(),
            "content" => content = value,
            _ => {}
        }
    }
    if element.name == "meta" && meta_name == "og:title" {
        element.meta_title = Some(htmlize::unescape_attribute(content).into_owned());
    }
    element
}

pub(super) fn is_heading(name: &str) -> bool {
    matches!(name, "h1" | "h2" | "h3" | "h4" | "h5" | "h6")
}

/// Elements that start a block of their own.
pub(super) fn is_block(name: &str) -> bool {
    is_heading(name)
        || matches!(
            name,
            "address"
                | "article"
                | "aside"
                | "blockquote"
                | "body"
                | "center"
                | "dd"
                | "details"
                | "dialog"
                | "dir"
                | "div"
                | "dl"
                | "dt"
                | "fieldset"
                | "figcaption"
                | "figure"
                | "footer"
                | "form"
                | "header"
                | "hgroup"
                | "hr"
                | "html"
                | "li"
                | "main"
                | "menu"
                | "nav"
                | "ol"
                | "p"
                | "pre"
                | "search"
                | "section"
                | "summary"
                | "table"
                | "tbody"
                | "td"
                | "tfoot"
                | "th"
                | "thead"
                | "tr"
                | "ul"
                | "caption"
                | "legend"
                | "listing"
                | "xmp"
                | "plaintext"
        )
}

fn is_void(name: &str) -> bool {
    matches!(
        name,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "param"
            | "source"
            | "track"
            | "wbr"
            | "keygen"
            | "frame"
    )
}
