"""The exercises of p4lang/tutorials on this project's compiler and switch; the programs stay in their checkout."""
