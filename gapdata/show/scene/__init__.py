"""The content of a picture, as data: points, boxes, marks and answers in one room."""
