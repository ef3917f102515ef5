"""Pictures of detections, beside the ground truth when there is one."""

import colorsys
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dartsminus_tf.foundation.output import shown
from detection.coco.boxes import Boxes

_GAP, _HEADER = 6, 20
_LONGEST_NAME = 60  # characters
_BACKGROUND, _TEXT = (24, 24, 24), (235, 235, 235)


def class_colour(category: int) -> tuple[int, int, int]:
    """A bright colour that stays the same for a category; neighbours differ (golden-ratio hues)."""
    red, green, blue = colorsys.hsv_to_rgb((category * 0.61803) % 1.0, 0.75, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw_boxes(image: np.ndarray, boxes: Boxes, names: Mapping[int, str], side: int) -> Image.Image:
    """`image` `[H, W, 3]` uint8 scaled so that its longer side has `side` pixels, with labelled boxes."""
    scale = side / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    picture = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=13)
    for index in reversed(range(len(boxes.classes))):  # the best last, on top
        top, left, bottom, right = (float(v) * scale for v in boxes.yxyx[index])
        category = int(boxes.classes[index])
        colour = class_colour(category)
        draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour, width=2)
        text = shown(names.get(category, category), _LONGEST_NAME)
        if len(boxes.scores):
            text += f" {boxes.scores[index]:.2f}"
        _label(draw, font, text, left, top, colour, size)
    return picture


def _label(draw, font, text, left, top, colour, size) -> None:
    width, height = draw.textlength(text, font=font) + 4, 15
    x = min(max(left, 0), max(size[0] - width, 0))
    y = top - height if top >= height else top
    draw.rectangle((x, y, x + width, y + height), fill=colour)
    draw.text((x + 2, y), text, fill=(0, 0, 0), font=font)


def side_by_side(
    image: np.ndarray,
    detections: Boxes,
    names: Mapping[int, str],
    truth: Boxes | None = None,
    caption: str = "",
    side: int = 480,
) -> Image.Image:
    """Ground truth (if any) at the left, detections at the right, under one line of text."""
    panels = [("detections", detections)]
    if truth is not None:
        panels.insert(0, ("ground truth", truth))
    pictures = [draw_boxes(image, boxes, names, side) for _, boxes in panels]
    width = sum(picture.width for picture in pictures) + _GAP * (len(pictures) - 1)
    sheet = Image.new("RGB", (width, pictures[0].height + _HEADER), _BACKGROUND)
    draw, font, x = ImageDraw.Draw(sheet), ImageFont.load_default(size=14), 0
    for (title, _), picture in zip(panels, pictures, strict=True):
        draw.text((x + 4, 1), f"{title}  {shown(caption)}".rstrip(), fill=_TEXT, font=font)
        sheet.paste(picture, (x, _HEADER))
        x += picture.width + _GAP
    return sheet


def contact_sheet(pictures: Sequence[Image.Image], columns: int = 2) -> Image.Image:
    """The pictures in a grid, left to right and top to bottom; a row is as high as its highest picture."""
    pictures = pictures or [Image.new("RGB", (1, 1), _BACKGROUND)]
    columns, gap = max(1, min(columns, len(pictures))), 2 * _GAP
    rows = [pictures[first : first + columns] for first in range(0, len(pictures), columns)]
    width, heights = max(p.width for p in pictures), [max(p.height for p in row) for row in rows]
    size = (columns * (width + gap) - gap, sum(heights) + gap * (len(rows) - 1))
    sheet, y = Image.new("RGB", size, _BACKGROUND), 0
    for row, height in zip(rows, heights, strict=True):
        for column, picture in enumerate(row):
            sheet.paste(picture, (column * (width + gap), y))
        y += height + gap
    return sheet
