"""Draws rows of labelled panels, for the pictures of the documents."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

Panel = tuple[str, Image.Image]  # label and square picture


def draw_sheet(rows: Sequence[Sequence[Panel]], label: int) -> Image.Image:
    """Returns a picture of rows of panels of one size, with `label` white pixels above each for the text."""
    side = rows[0][0][1].width
    sheet = Image.new("RGB", (max(map(len, rows)) * side, len(rows) * (side + label)), "white")
    pen = ImageDraw.Draw(sheet)
    for i, row in enumerate(rows):
        for j, (text, image) in enumerate(row):
            left, top = j * side, i * (side + label)
            pen.text((left + 3, top + 2), text, fill="black")
            sheet.paste(image, (left, top + label))
    return sheet
