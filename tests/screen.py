"""A terminal's screen, as far as captions need one: text, CR, LF, cursor up, erasing, home."""

import re
import unicodedata

_PIECES = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n])")


class Screen:
    """What stands in a terminal's rows; rows that scrolled out of it are in `scrolled`.

    A written last column keeps the cursor there until the next letter, as real terminals do.
    """

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.scrolled = []
        self.unknown = []
        self._cells = [[" "] * columns for _ in range(rows)]
        self._x = self._y = 0
        self._rest = ""

    def feed(self, text):
        text = self._rest + text
        # A sequence may be cut by the end of a read.
        cut = text.rfind("\x1b")
        if cut >= 0 and not re.match(r"\x1b\[[0-9;?]*[A-Za-z]", text[cut:]):
            text, self._rest = text[:cut], text[cut:]
        else:
            self._rest = ""
        for piece in _PIECES.finditer(text):
            numbers, command, cr, lf, letter = piece.groups()
            if cr:
                self._x = 0
            elif lf:
                self._line_feed()
            elif letter:
                self._put(letter)
            else:
                self._obey(numbers, command)

    def lines(self):
        """Give the rows, from the first that scrolled out to the last that has something in it."""
        rows = [*self.scrolled, *("".join(row).rstrip() for row in self._cells)]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def _put(self, letter):
        width = 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if self._x + width > self.columns:
            self._x = 0
            self._line_feed()
        self._cells[self._y][self._x] = letter
        if width == 2:
            self._cells[self._y][self._x + 1] = ""
        self._x += width

    def _line_feed(self):
        if self._y < self.rows - 1:
            self._y += 1
            return
        self.scrolled.append("".join(self._cells.pop(0)).rstrip())
        self._cells.append([" "] * self.columns)

    def _obey(self, numbers, command):
        x = min(self._x, self.columns - 1)
        if command == "A":
            self._y = max(0, self._y - int(numbers or 1))
        elif command == "H" and not numbers:
            self._x = self._y = 0
        elif command == "K" and not numbers:
            self._cells[self._y][x:] = [" "] * (self.columns - x)
        elif command == "J" and not numbers:
            self._cells[self._y][x:] = [" "] * (self.columns - x)
            for row in range(self._y + 1, self.rows):
                self._cells[row] = [" "] * self.columns
        elif command == "J" and numbers == "2":
            self._cells = [[" "] * self.columns for _ in range(self.rows)]
        elif command != "m":
            self.unknown.append(command)
