"""What a notebook shows and lets one move when it is read in JupyterLab: tables, controls."""
