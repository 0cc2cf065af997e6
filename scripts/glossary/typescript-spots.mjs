// Owns where names and messages stand in a TypeScript or JavaScript file, by the compiler's own parser.

import ts from 'typescript'

/** A string without blanks that names something of ours: a property, an option, a route, a metric, a code. */
const NAME_LIKE = /^[\w:/{}.*-]*[A-Za-z][\w:/{}.*<>-]*$/
const OPTION = /--(?:no-)?[a-z][a-z0-9-]*/g

export function typeScriptSpots(file, text, { messages, prose }) {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true, file.endsWith('ts') ? ts.ScriptKind.TS : ts.ScriptKind.JS)
  const spots = []
  const add = (kind, node, spotText) => {
    spots.push({ kind, line: source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1, text: spotText })
  }
  const visit = (node) => {
    for (const name of declaredNames(node)) add('names', name, name.text)
    if (isText(node) && !isImportPath(node)) addText(node, add, messages)
    ts.forEachChild(node, visit)
  }
  visit(source)
  if (prose) spots.push(...commentSpots(source, text))
  return spots
}

function addText(node, add, messages) {
  const { text } = node
  for (const [option] of text.matchAll(OPTION)) add('names', node, option)
  if (messages && /\w\s+\w/.test(text)) add('messages', node, text)
  else if (messages && NAME_LIKE.test(text)) add('names', node, text)
}

function isText(node) {
  return ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddle(node) || ts.isTemplateTail(node)
}

function isImportPath(node) {
  const { parent } = node
  if (ts.isImportDeclaration(parent) || ts.isExportDeclaration(parent) || ts.isExternalModuleReference(parent)) return true
  if (ts.isLiteralTypeNode(parent) && ts.isImportTypeNode(parent.parent)) return true
  return (
    ts.isCallExpression(parent) && (parent.expression.kind === ts.SyntaxKind.ImportKeyword || parent.expression.getText() === 'require')
  )
}

/** The identifiers that a node declares; a renamed import or destructured property counts by its new name. */
function declaredNames(node) {
  if (ts.isImportSpecifier(node) || ts.isExportSpecifier(node)) return node.propertyName === undefined ? [] : [node.name]
  const named =
    ts.isVariableDeclaration(node) ||
    ts.isParameter(node) ||
    ts.isBindingElement(node) ||
    ts.isFunctionLike(node) ||
    ts.isClassLike(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isEnumDeclaration(node) ||
    ts.isEnumMember(node) ||
    ts.isPropertyDeclaration(node) ||
    ts.isPropertySignature(node) ||
    ts.isPropertyAssignment(node) ||
    ts.isShorthandPropertyAssignment(node) ||
    ts.isTypeParameterDeclaration(node) ||
    ts.isNamespaceImport(node) ||
    ts.isImportClause(node) ||
    ts.isModuleDeclaration(node)
  if (!named || node.name === undefined) return []
  return ts.isIdentifier(node.name) || ts.isPrivateIdentifier(node.name) ? [node.name] : []
}

function commentSpots(source, text) {
  const spots = []
  const known = new Set()
  const collect = (position) => {
    for (const range of [...(ts.getLeadingCommentRanges(text, position) ?? []), ...(ts.getTrailingCommentRanges(text, position) ?? [])]) {
      if (known.has(range.pos)) continue
      known.add(range.pos)
      const first = source.getLineAndCharacterOfPosition(range.pos).line + 1
      for (const [at, line] of text.slice(range.pos, range.end).split('\n').entries())
        spots.push({ kind: 'prose', line: first + at, text: line })
    }
  }
  const visit = (node) => {
    collect(node.getFullStart())
    collect(node.getEnd())
    for (const child of node.getChildren(source)) visit(child)
  }
  visit(source)
  return spots
}
