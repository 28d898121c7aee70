#!/usr/bin/env python3
"""Writes org.fastrpc1(5) in scdoc's words: those of docs/dbus.md, and what a daemon's introspection lists.

usage: dbus_page.py dbus.md LISTING
"""
import re
import sys


def inline(text):
    """Markdown's inline code becomes bold; everything else is not markup here."""
    parts = []
    for index, part in enumerate(re.split(r'`', text)):
        part = re.sub(r'([\\_*])', r'\\\1', part)
        parts.append(f'*{part}*' if index % 2 and part else part)
    return ''.join(parts)


def cells(row):
    return [cell.strip() for cell in re.split(r'(?<!\\)\|', row.strip().strip('|'))]


def table(rows):
    """Each row becomes a term, short cells beside it, and the last cell below."""
    lines = []
    for first, *rest in rows[2:]:
        between = ', '.join(cell for cell in rest[:-1] if cell)
        lines.append(inline(first) + (f' ({inline(between)})' if between else ''))
        lines += ['\t' + inline(rest[-1]) if rest else '', '']
    return lines


def page(words, listing):
    lines = ['org.fastrpc1(5)', '', '# NAME', '', 'org.fastrpc1 - the D-Bus interface of fastrpcd', '', '# DESCRIPTION', '']
    rows = []
    for line in words.splitlines()[1:] + ['']:
        if line.startswith('|'):
            rows.append(cells(line))
            continue
        if rows:
            lines += table(rows)
            rows = []
        if line.startswith('## '):
            lines.append('# ' + line[3:].upper())
        elif line.startswith(('    ', '\t')):
            lines += ['```', line.strip(), '```']
        else:
            # What scdoc would take for a list, a heading or a table.
            lines.append(re.sub(r'^([-#;.|\[\]])', r'\\\1', inline(line)))
    lines += ['# LISTING', '', 'As the daemon itself lists it.', '', '```', listing.rstrip('\n'), '```', '', '# SEE ALSO', '',
              '*fastrpcd*(8), *fastrpcctl*(1), *fastrpcd-policy*(5), *libfastrpc*(3), *busctl*(1)']
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    with open(sys.argv[1], encoding='utf-8') as words, open(sys.argv[2], encoding='utf-8') as listing:
        sys.stdout.write(page(words.read(), listing.read()))
