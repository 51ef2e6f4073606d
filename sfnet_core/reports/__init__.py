"""What ends in one document: methods compared, explanations tested, the figures and tables of the paper."""
