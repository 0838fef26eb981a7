"""What is shown, as data: points, boxes, marks and answers in one room."""
