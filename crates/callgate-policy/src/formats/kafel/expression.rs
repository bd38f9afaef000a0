//! Conditions on arguments, as they are written.

use alloc::{format, vec::Vec};

use callgate_diagnostic::{Diagnostic, Span, Spanned};

use super::{
    lexer::{Symbol, Token},
    reader::{Reader, Reported},
    value::{Bitwise, Relation},
};

/// How deep Kafel lets operators stand in each other (`MAX_EXPRESSION_DEPTH`); a row of `||` is as
/// deep as it is long. Parentheses and `!` have the same limit here.
pub(super) const MAX_DEPTH: usize = 200;

/// A condition as a tree in a list.
pub(super) struct Expression<'t> {
    nodes: Vec<Node<'t>>,
    /// The condition as a whole.
    pub root: NodeId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(usize);

#[derive(Clone, Copy)]
pub(super) struct Node<'t> {
    pub kind: Kind<'t>,
    pub span: Span,
    depth: usize,
}

#[derive(Clone, Copy)]
pub(super) enum Kind<'t> {
    Number(u64),
    /// An argument.
    Name(&'t str),
    Bits(Bitwise, NodeId, NodeId),
    Compare(Relation, NodeId, NodeId),
    Not(NodeId),
    And(NodeId, NodeId),
    Or(NodeId, NodeId),
}

impl<'t> Expression<'t> {
    pub fn node(&self, id: NodeId) -> Node<'t> {
        self.nodes[id.0]
    }

    /// The arguments that it names, in the order of the text.
    pub fn names(&self) -> impl Iterator<Item = Spanned<&'t str>> {
        self.nodes.iter().filter_map(|node| match node.kind {
            Kind::Name(name) => Some(Spanned::new(name, node.span)),
            _ => None,
        })
    }

    /// The comparisons of two numbers, and whether they hold.
    pub fn constants(&self) -> impl Iterator<Item = Spanned<bool>> {
        let number = |id: NodeId| match self.node(id).kind {
            Kind::Number(number) => Some(number),
            _ => None,
        };
        self.nodes.iter().filter_map(move |node| match node.kind {
            Kind::Compare(relation, left, right) => {
                Some(Spanned::new(relation.holds(number(left)?, number(right)?), node.span))
            }
            _ => None,
        })
    }

    fn depth(&self, id: NodeId) -> usize {
        self.nodes[id.0].depth
    }

    fn is_value(&self, id: NodeId) -> bool {
        matches!(self.nodes[id.0].kind, Kind::Number(_) | Kind::Name(_) | Kind::Bits(..))
    }

    fn push(&mut self, kind: Kind<'t>, span: Span, depth: usize) -> NodeId {
        self.nodes.push(Node { kind, span, depth });
        NodeId(self.nodes.len() - 1)
    }
}

impl<'t> Reader<'t> {
    /// Reads a condition, up to the brace that closes it.
    pub fn expression(&mut self) -> Result<Expression<'t>, Reported> {
        let mut tree = Expression { nodes: Vec::new(), root: NodeId(0) };
        let root = self.alternatives(&mut tree, 0)?;
        tree.root = self.condition(&tree, root)?;
        if self.token.value != Token::Symbol(Symbol::CloseBrace) {
            return Err(self.unexpected("an operator, `,` or `}`"));
        }
        Ok(tree)
    }

    /// `a, b`: a comma is a weak `||`.
    fn alternatives(
        &mut self,
        tree: &mut Expression<'t>,
        nesting: usize,
    ) -> Result<NodeId, Reported> {
        let mut left = self.disjunction(tree, nesting)?;
        while let Some(span) = self.eat(Symbol::Comma) {
            left = self.condition(tree, left)?;
            let right = self.disjunction(tree, nesting)?;
            let right = self.condition(tree, right)?;
            left = self.join(tree, span, (left, right), Kind::Or)?;
        }
        Ok(left)
    }

    fn disjunction(
        &mut self,
        tree: &mut Expression<'t>,
        nesting: usize,
    ) -> Result<NodeId, Reported> {
        let mut left = self.conjunction(tree, nesting)?;
        while let Some(span) = self.eat(Symbol::OrOr) {
            left = self.condition(tree, left)?;
            let right = self.conjunction(tree, nesting)?;
            let right = self.condition(tree, right)?;
            left = self.join(tree, span, (left, right), Kind::Or)?;
        }
        Ok(left)
    }

    fn conjunction(
        &mut self,
        tree: &mut Expression<'t>,
        nesting: usize,
    ) -> Result<NodeId, Reported> {
        let mut left = self.primary(tree, nesting)?;
        while let Some(span) = self.eat(Symbol::AndAnd) {
            left = self.condition(tree, left)?;
            let right = self.primary(tree, nesting)?;
            let right = self.condition(tree, right)?;
            left = self.join(tree, span, (left, right), Kind::And)?;
        }
        Ok(left)
    }

    /// `!…`, a comparison, or what stands in parentheses.
    fn primary(&mut self, tree: &mut Expression<'t>, nesting: usize) -> Result<NodeId, Reported> {
        if let Some(span) = self.eat(Symbol::Not) {
            self.check_depth(nesting, span)?;
            let inner = self.primary(tree, nesting + 1)?;
            let inner = self.condition(tree, inner)?;
            let depth = tree.depth(inner) + 1;
            self.check_depth(depth, span)?;
            let span = span.to(tree.node(inner).span);
            return Ok(tree.push(Kind::Not(inner), span, depth));
        }
        let left = self.bit_or(tree, nesting)?;
        if !tree.is_value(left) {
            return Ok(left);
        }
        let Some((relation, span)) = self.relation() else {
            return Ok(left);
        };
        let right = self.bit_or(tree, nesting)?;
        let right = self.value(tree, right)?;
        let id = self.join(tree, span, (left, right), |a, b| Kind::Compare(relation, a, b))?;
        if let Some((_, second)) = self.relation() {
            self.lexer.report.error(|| {
                Diagnostic::error("kafel-syntax", "comparisons do not chain")
                    .at(second, "join two comparisons by `&&`")
                    .at(span, "the first")
            });
            return Err(Reported);
        }
        Ok(id)
    }

    fn bit_or(&mut self, tree: &mut Expression<'t>, nesting: usize) -> Result<NodeId, Reported> {
        let mut left = self.bit_and(tree, nesting)?;
        while let Some(span) = self.eat(Symbol::Or) {
            left = self.value(tree, left)?;
            let right = self.bit_and(tree, nesting)?;
            let right = self.value(tree, right)?;
            left = self.join(tree, span, (left, right), |a, b| Kind::Bits(Bitwise::Or, a, b))?;
        }
        Ok(left)
    }

    fn bit_and(&mut self, tree: &mut Expression<'t>, nesting: usize) -> Result<NodeId, Reported> {
        let mut left = self.operand(tree, nesting)?;
        while let Some(span) = self.eat(Symbol::And) {
            left = self.value(tree, left)?;
            let right = self.operand(tree, nesting)?;
            let right = self.value(tree, right)?;
            left = self.join(tree, span, (left, right), |a, b| Kind::Bits(Bitwise::And, a, b))?;
        }
        Ok(left)
    }

    /// A number, a constant, an argument, or anything in parentheses.
    fn operand(&mut self, tree: &mut Expression<'t>, nesting: usize) -> Result<NodeId, Reported> {
        let Spanned { value: token, span } = self.token;
        let kind = match token {
            Token::Number(number) => Kind::Number(number.unwrap_or(0)),
            Token::Identifier(name) => match self.constants.get(name) {
                Some(constant) => Kind::Number(constant.value),
                None => Kind::Name(name),
            },
            Token::Symbol(Symbol::OpenParen) => {
                self.check_depth(nesting, span)?;
                self.bump();
                let inner = self.alternatives(tree, nesting + 1)?;
                if self.eat(Symbol::CloseParen).is_none() {
                    return Err(self.unexpected("an operator or `)`"));
                }
                return Ok(inner);
            }
            _ => return Err(self.unexpected("a number, an argument or `(`")),
        };
        self.bump();
        Ok(tree.push(kind, span, 0))
    }

    /// A node above two others.
    fn join(
        &mut self,
        tree: &mut Expression<'t>,
        operator: Span,
        (left, right): (NodeId, NodeId),
        kind: impl FnOnce(NodeId, NodeId) -> Kind<'t>,
    ) -> Result<NodeId, Reported> {
        let depth = tree.depth(left).max(tree.depth(right)) + 1;
        self.check_depth(depth - 1, operator)?;
        let span = tree.node(left).span.to(tree.node(right).span);
        Ok(tree.push(kind(left, right), span, depth))
    }

    fn check_depth(&mut self, depth: usize, span: Span) -> Result<(), Reported> {
        if depth < MAX_DEPTH {
            return Ok(());
        }
        self.lexer.report.error(|| {
            let message = format!("operators stand more than {MAX_DEPTH} deep in each other");
            Diagnostic::error("kafel-depth", message).at(span, "this one is too many").help(
                "Kafel refuses more; several rules for one call say the same as a long row of `||`",
            )
        });
        Err(Reported)
    }

    fn relation(&mut self) -> Option<(Relation, Span)> {
        let Token::Symbol(symbol) = self.token.value else {
            return None;
        };
        let relation = match symbol {
            Symbol::Equal => Relation::Equal,
            Symbol::NotEqual => Relation::NotEqual,
            Symbol::Less => Relation::Less,
            Symbol::LessEqual => Relation::LessEqual,
            Symbol::Greater => Relation::Greater,
            Symbol::GreaterEqual => Relation::GreaterEqual,
            _ => return None,
        };
        let span = self.token.span;
        self.bump();
        Some((relation, span))
    }

    /// Makes sure of a condition.
    fn condition(&mut self, tree: &Expression<'t>, id: NodeId) -> Result<NodeId, Reported> {
        if !tree.is_value(id) {
            return Ok(id);
        }
        let span = tree.node(id).span;
        self.lexer.report.error(|| {
            Diagnostic::error("kafel-syntax", "a value stands where a condition must")
                .at(span, "compare it, as in `fd == 1`")
                .help("flags are tested by `(flags & 1) != 0`")
        });
        Err(Reported)
    }

    /// Makes sure of a value.
    fn value(&mut self, tree: &Expression<'t>, id: NodeId) -> Result<NodeId, Reported> {
        if tree.is_value(id) {
            return Ok(id);
        }
        let span = tree.node(id).span;
        self.lexer.report.error(|| {
            Diagnostic::error("kafel-syntax", "a condition stands where a value must")
                .at(span, "expected a number or an argument")
                .help("`&` and `|` work on bits; conditions are joined by `&&` and `||`")
        });
        Err(Reported)
    }
}
